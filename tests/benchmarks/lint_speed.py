"""How long the linter takes: training code of 20,000 lines, a large file, and the parsers that could read them."""

from __future__ import annotations

import ast
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import libcst

from vc2doctor.linter.run import LintTask, judge

_PROJECT = Path(__file__).parents[1] / "linter" / "fixtures" / "project"
_RUNS = 3


def copies(folder: Path, lines: int) -> int:
    """Write the fixture project side by side until there are ``lines`` lines of Python, and return how many."""
    written = number = 0
    while written < lines:
        for path in sorted(_PROJECT.rglob("*.py")):
            target = folder / f"copy{number}" / path.relative_to(_PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8")
            target.write_text(text, encoding="utf-8")
            written += text.count("\n")
        (folder / f"copy{number}" / "requirements.txt").write_text("torch==1.13.1\n", encoding="utf-8")
        number += 1
    return written


def large(folder: Path, lines: int) -> int:
    """Write one module of ``lines`` lines, and return how many."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(_PROJECT.rglob("*.py"))]
    text = "".join(parts) * (lines // sum(part.count("\n") for part in parts) + 1)
    (folder / "large.py").write_text(text, encoding="utf-8")
    return text.count("\n")


def fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of three runs."""
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _each(parse: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        parse(text)


def main() -> None:
    """Print the table."""
    for name, write, wanted in (("20,000 lines", copies, 20_000), ("one file", large, 50_000)):
        with tempfile.TemporaryDirectory() as folder:
            lines = write(Path(folder), wanted)
            request = LintTask(paths=(Path(folder),))
            print(f"{name}: {lines} lines, lint {fastest(partial(judge, request)):.2f} s")
            texts = [path.read_text(encoding="utf-8") for path in Path(folder).rglob("*.py")]
            reading = fastest(partial(_each, ast.parse, texts))
            other = fastest(partial(_each, libcst.parse_module, texts))
            print(f"  reading alone: ast {reading:.2f} s, LibCST {other:.2f} s ({other / reading:.0f} times)")


if __name__ == "__main__":
    main()
