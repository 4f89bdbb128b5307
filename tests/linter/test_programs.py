"""Whole programs are switched to bfloat16: completely, or refused with the reason and left as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vc2doctor.linter.fix.programs import programs_of
from vc2doctor.linter.fix.remaining import tokens_of
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.fix.view import ProjectView
from vc2doctor.linter.model import FixResult
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

PROGRAMS = Path(__file__).parent / "fixtures" / "programs"
NAMES = sorted(path.name for path in PROGRAMS.iterdir())
COMPLETE = [name for name in NAMES if not (PROGRAMS / name / "refused.txt").exists()]
REFUSED = [name for name in NAMES if name not in COMPLETE]


def task_of(folder: Path) -> LintTask:
    return LintTask(paths=(folder,), precision="bf16")


def switch(folder: Path, *, write: bool = True, allow_dirty: bool = False) -> tuple[FixResult, LintResult]:
    task = task_of(folder)
    return fix(task, apply_rules(task), unsafe=False, write=write, allow_dirty=allow_dirty)


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROGRAMS / name / "before", tmp_path / name))


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def committed(folder: Path) -> Path:
    """Make a folder a git repository with everything committed."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as it was")
    return folder


@pytest.mark.parametrize("name", COMPLETE)
def test_program_is_switched_completely(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    result, after = switch(folder)
    assert result.refused == ()
    assert texts(folder) == texts(PROGRAMS / name / "after")
    assert not [finding for finding in after.findings if finding.cause == "float16" and finding.severity.rank]
    for path in folder.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    view = ProjectView(task_of(folder), apply_rules(task_of(folder)), {})
    left = [token for program in programs_of(view) for token in tokens_of(view, program)]
    assert all(token.stays for token in left)


@pytest.mark.parametrize("name", COMPLETE)
def test_second_switch_changes_nothing(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PROGRAMS / name / "after", tmp_path / name))
    result, _ = switch(folder)
    assert result.files == ()
    assert result.refused == ()
    assert {program.outcome for program in result.programs} == {"nothing to do"}


@pytest.mark.parametrize("name", REFUSED)
def test_program_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    result, _ = switch(folder)
    assert texts(folder) == texts(PROGRAMS / name / "after")
    for expected in (PROGRAMS / name / "refused.txt").read_text(encoding="utf-8").splitlines():
        assert any(expected in reason for reason in result.refused), result.refused
