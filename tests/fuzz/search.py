"""``python -m tests.fuzz.search PARSER FOLDER [libFuzzer option…]``: search one parser until an option says stop.

A process of its own, because the search ends the process at the first fault. atheris
(https://github.com/google/atheris) guides it by the branches that an input reaches.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vc2doctor", "tests.fuzz"], enable_loader_override=False):
    from tests.fuzz.parsers import PARSERS, PLANTED, outcome


def main() -> None:
    """Search; libFuzzer writes the input of a fault below ``FOLDER``."""
    name, corpus, *options = sys.argv[1:]
    parser = {**PARSERS, **PLANTED}[name]
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as scratch:
        number = 0

        def run(data: bytes) -> None:
            nonlocal number
            number += 1
            folder = Path(scratch) / str(number)
            folder.mkdir()
            try:
                outcome(parser, data, folder)
            finally:
                _remove(folder)

        atheris.Setup([sys.argv[0], *options, corpus], run)
        atheris.Fuzz()


def _memory_folder() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - files in memory: each input writes one
    return str(memory) if memory.is_dir() else None


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


if __name__ == "__main__":
    main()
