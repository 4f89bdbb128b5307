"""Reports on a terminal. Text is wrapped and colored if a person reads it, and plain if it goes to a pipe or file."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from vc2doctor.report.formats import ReportKind
from vc2doctor.report.terminal import check, lint, matrix
from vc2doctor.report.terminal.lines import Line, Marks, print_lines

_LINE_RENDERERS: dict[ReportKind, Callable[[Any, Marks], Iterator[Line]]] = {
    "check": check.render,
    "lint": lint.render,
    "versions": matrix.render_answer,
}
"""The kinds of reports that consist of lines. Tables are drawn as a whole."""


def show(kind: ReportKind, report: Any) -> None:  # noqa: ANN401 - a report of that kind
    """Print a report to standard output."""
    if kind == "tables":
        sys.stdout.write(matrix.tables_as_text(report, color=sys.stdout.isatty()))
        return
    console = Console()
    print_lines(_LINE_RENDERERS[kind](report, Marks.of(console)), console)


def plain_text(kind: ReportKind, report: Any) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report without color and without wrapping."""
    if kind == "tables":
        return matrix.tables_as_text(report, color=False)
    return "".join(f"{line.text.plain}\n" for line in _LINE_RENDERERS[kind](report, Marks(ascii_only=False)))
