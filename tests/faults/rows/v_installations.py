"""V. Damaged installations of the doctor: its own data is missing, cut off, or something else."""

from __future__ import annotations

import gzip
import shutil
import sys
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row
from tests.faults.scene import HALF_LOOP, ON_PAPER, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.scene import Scene

_VERSIONS = ("torch==2.5.1", "transformers==4.46.0", "peft==0.13.2")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _copied_doctor(scene: Scene) -> Path:
    """Copy the doctor into the scene, and return the folder."""
    copy = scene.root / "doctor"
    for folder in ("vc2doctor", "matrices"):
        # With its compiled modules, which saves time.
        shutil.copytree(ROOT / folder, copy / folder)
    return copy


def _row(name: str, words: tuple[str, ...], damage: Callable[[Path], None], sentence: str, *says: str) -> Row:
    def plan(scene: Scene) -> Command:
        copy = _copied_doctor(scene)
        damage(copy / "matrices")
        scene.file("train.py", HALF_LOOP)
        python = scene.target() if "--python" in words else ""
        return Command((*words, *([python] if python else [])), variables={"PYTHONPATH": str(copy)})

    return Row("V", name, sentence, plan, Expected((2, 3), says))


_CHECK = ("check", *ON_PAPER, "--python")
_EXPLAIN = ("matrix", "explain", *_VERSIONS)
ROWS = (
    _row("no_matrix", _CHECK, shutil.rmtree, "The folder of the matrix is missing.", "matri"),
    _row(
        "no_profiles", _CHECK, lambda folder: shutil.rmtree(folder / "profiles"), "The profiles are missing.", "profile"
    ),
    _row(
        "verdicts_cut_off",
        _EXPLAIN,
        lambda folder: _cut(folder / "verdicts.json"),
        "The verdicts are cut off.",
        "verdicts.json",
    ),
    _row(
        "releases_that_are_null",
        _EXPLAIN,
        lambda folder: _write(folder / "releases.json", b"null"),
        "The releases are `null`.",
        "releases.json",
    ),
    _row(
        "architectures_of_numbers",
        ("headroom", "gemma"),
        lambda folder: _write(folder / "architectures.json", b"[1, 2]"),
        "The architectures are a list of numbers.",
        "architectures.json",
    ),
    _row(
        "names_cut_off",
        ("needs", "train.py"),
        lambda folder: _cut(folder / "api.json.gz"),
        "The compressed names of libraries are cut off.",
        "api.json.gz",
    ),
    _row(
        "names_that_expand_to_gigabytes",
        ("needs", "train.py"),
        lambda folder: _expanding(folder / "api.json.gz"),
        "The names of libraries expand to four gigabytes.",
        "api.json.gz",
    ),
    _row(
        "names_that_are_a_list",
        ("needs", "train.py"),
        lambda folder: _write(folder / "api.json.gz", gzip.compress(b"[1]")),
        "The names of libraries are a list.",
        "api.json.gz",
    ),
    _row(
        "gpus_that_are_empty",
        ("lint", "--fix", "--diff", "--gpu", "T4", "train.py"),
        lambda folder: _write(folder / "gpus.json", b""),
        "The table of GPUs is empty.",
        "gpus.json",
    ),
)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _expanding(path: Path) -> None:
    """Write four gigabytes of spaces, compressed."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(1_000):
            file.write(b" " * 4_000_000)


@row("V", 2, 3, says=("pathspec", "not installed completely"))
def missing_dependency(scene: Scene) -> Command:
    """A library that the doctor depends on is not installed."""
    scene.file("train.py", HALF_LOOP)
    scene.file(".gitignore", "x\n")
    source = "import sys; sys.modules['pathspec'] = None; from vc2doctor.__main__ import main; main()"
    return Command(("lint", "."), python=(sys.executable, "-c", source))


@row("V", 0)
def no_schema(scene: Scene) -> Command:
    """The folder of the schemas is missing: they are made from the code."""
    copy = _copied_doctor(scene)
    shutil.rmtree(copy / "matrices" / "schema")
    return Command(("schema", "report"), variables={"PYTHONPATH": str(copy)})
