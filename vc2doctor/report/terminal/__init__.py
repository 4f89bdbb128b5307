"""What a terminal shows: each kind of report as lines, wrapped and colored where they are read by a person."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from vc2doctor.report.formats import ReportKind
from vc2doctor.report.terminal import check, lint, matrix
from vc2doctor.report.terminal.lines import Line, Marks, print_lines

_LINES: dict[ReportKind, Callable[[Any, Marks], Iterator[Line]]] = {
    "check": check.render,
    "lint": lint.render,
    "versions": matrix.answer,
}
"""The reports that are lines; tables are drawn."""


def show(kind: ReportKind, report: Any) -> None:  # noqa: ANN401 - a report of that kind
    """Print a report to standard output."""
    if kind == "tables":
        sys.stdout.write(matrix.drawn(report, color=sys.stdout.isatty()))
        return
    console = Console()
    print_lines(_LINES[kind](report, Marks.of(console)), console)


def plain(kind: ReportKind, report: Any) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report without color, one line a line."""
    if kind == "tables":
        return matrix.drawn(report, color=False)
    return "".join(f"{line.text.plain}\n" for line in _LINES[kind](report, Marks(ascii_only=False)))
