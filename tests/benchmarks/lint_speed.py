"""Measure the speed of the linter on 20,000 lines of training code and on one large file, and that of two parsers."""

from __future__ import annotations

import ast
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import libcst

from vc2doctor.linter.run import LintTask, apply_rules

_PROJECT = Path(__file__).parents[1] / "linter" / "fixtures" / "project"
_RUNS = 3


def write_copies(folder: Path, lines: int) -> int:
    """Copy the fixture project until there are at least ``lines`` lines of Python; return their number."""
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


def write_large_module(folder: Path, lines: int) -> int:
    """Write one module of at least ``lines`` lines; return their number."""
    parts = [path.read_text(encoding="utf-8") for path in sorted(_PROJECT.rglob("*.py"))]
    text = "".join(parts) * (lines // sum(part.count("\n") for part in parts) + 1)
    (folder / "large.py").write_text(text, encoding="utf-8")
    return text.count("\n")


def fastest_seconds(action: Callable[[], object]) -> float:
    """Return the seconds of the fastest of three runs."""
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def _parse_all(parse: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        parse(text)


def main() -> None:
    """Print the table."""
    for name, write, min_lines in (("20,000 lines", write_copies, 20_000), ("one file", write_large_module, 50_000)):
        with tempfile.TemporaryDirectory() as folder:
            lines = write(Path(folder), min_lines)
            task = LintTask(paths=(Path(folder),))
            print(f"{name}: {lines} lines, lint {fastest_seconds(partial(apply_rules, task)):.2f} s")
            texts = [path.read_text(encoding="utf-8") for path in Path(folder).rglob("*.py")]
            with_ast = fastest_seconds(partial(_parse_all, ast.parse, texts))
            with_libcst = fastest_seconds(partial(_parse_all, libcst.parse_module, texts))
            ratio = with_libcst / with_ast
            print(f"  parsing alone: ast {with_ast:.2f} s, LibCST {with_libcst:.2f} s ({ratio:.0f} times)")


if __name__ == "__main__":
    main()
