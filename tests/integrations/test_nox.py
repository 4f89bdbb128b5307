"""``from vc2doctor.nox import cells`` in the noxfile of a small project, run by nox itself.

``nox -s integrations`` measures a real cell as well; that takes minutes.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import noxfile
from tests.conftest import run_doctor
from tests.facts import EVIDENCE
from vc2doctor.curate import own, spread
from vc2doctor.curate.grid.cells import CellSpec
from vc2doctor.matrix import load
from vc2doctor.matrix.errors import MatrixError
from vc2doctor.target.shared.protocol import WORKER_VERSION

ROOT = Path(noxfile.__file__).parent
NOXFILE = """
import nox
from vc2doctor.nox import cells

@nox.session(venv_backend="none")
def mine(session):
    pass

cells(
    {known!r}, {known!r},
    python=["3.11"], torch=["2.13.0"], transformers=["0.0.1"], peft=["0.21.2"],
    matrix="mine", interpreters={{"3.11": {python!r}}},
)
"""
KNOWN = next(
    CellSpec(cell=line.cell, extras=line.asked)
    for line in reversed(EVIDENCE)
    if line.worker == WORKER_VERSION and line.trains("bf16") and line.cell.python == "3.11"
)
"""A cell that the shipped matrix has already."""
IMPOSSIBLE = "python-3.11 torch-2.13.0 transformers-0.0.1 peft-0.21.2"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "noxfile.py").write_text(NOXFILE.format(python=noxfile.interpreter("3.11"), known=KNOWN.line))
    return folder


def run_nox(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nox", "--no-color", *arguments],
        cwd=project,
        env={**os.environ, **noxfile.uv_settings(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_matrix_of_github_holds_the_cells_that_were_not_measured(project: Path) -> None:
    ran = run_nox(project, "-s", "cells-github")
    assert ran.returncode == 0, ran.stderr
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("matrix=")]
    (job,) = json.loads(line.removeprefix("matrix="))["include"]
    assert shlex.split(job["sessions"]) == [f"cells({IMPOSSIBLE})"], "the other cell is in the shipped matrix"
    assert not (project / "mine").exists(), "to ask writes nothing"


def test_cell_is_measured_into_a_matrix_of_the_users_own_and_judges_by_it(project: Path) -> None:
    """The versions of this cell exclude each other, which the resolver finds out without a download."""
    ran = run_nox(project, "-s", f"cells({IMPOSSIBLE})", "cells-compile")
    assert ran.returncode == 0, ran.stderr
    (line,) = load.evidence_lines(project / "mine" / own.EVIDENCE)
    assert (line.cell.transformers, line.install) == ("0.0.1", "unsatisfiable")
    words = ("torch==2.13.0", "transformers==0.0.1", "peft==0.21.2", "python==3.11")
    explained = run_doctor("matrix", "explain", *words, "--matrix", "mine", cwd=project)
    assert explained.code == 1, explained.out + explained.err
    again = run_nox(project, "-s", "cells-github")
    assert 'matrix={"include": []}' in again.stdout, "nothing is left to measure"


@pytest.mark.stack
def test_real_cell_is_measured_and_trains(tmp_path: Path) -> None:
    text = "python=3.11 torch=2.13.0 transformers=5.23.0 peft=0.21.2"
    call = f"cells({text!r}, matrix='mine', interpreters={{'3.11': {noxfile.interpreter('3.11')!r}}})"
    (tmp_path / "noxfile.py").write_text(f"from vc2doctor.nox import cells\n\n{call}\n")
    ran = run_nox(tmp_path, "-s", f"cells({text.replace('=', '-')})", "--", "--again")
    assert ran.returncode == 0, ran.stderr
    (line,) = load.evidence_lines(tmp_path / "mine" / own.EVIDENCE)
    assert line.trains("bf16") is True


def test_sessions_are_spread_over_at_most_so_many_jobs() -> None:
    sessions = [f"cells({number} a)" for number in range(7)]
    include = spread.github_matrix(sessions, jobs=3)["include"]
    assert [len(shlex.split(job["sessions"])) for job in include] == [3, 3, 1]
    assert [word for job in include for word in shlex.split(job["sessions"])] == sessions
    assert include[0]["name"] == "cells(0 a) and 2 more"
    assert spread.github_matrix([]) == {"include": []}


def test_folder_with_other_files_is_not_made_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MatrixError, match="holds something else than a matrix"):
        own.make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
