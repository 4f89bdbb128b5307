"""Reports on a terminal. Text is wrapped and colored if a person reads it, and plain if it goes to a pipe or file."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from vc2doctor.report.formats import ReportKind
from vc2doctor.report.terminal import check, lint, matrix, needs
from vc2doctor.report.terminal import verdict as verdicts
from vc2doctor.report.terminal.lines import Line, Marks, plain, print_lines, text_line

_LINE_RENDERERS: dict[ReportKind, Callable[[Any, Marks], Iterator[Line]]] = {
    "lint": lint.render,
    "versions": matrix.render_answer,
    "needs": needs.render,
}
"""The kinds of reports that consist of lines, besides ``check``. Tables are drawn as a whole."""


def show(kind: ReportKind, report: Any, *, verbose: bool = False, note: str = "") -> None:  # noqa: ANN401 - a report of that kind
    """Print a report to standard output, and a note below it; a report on an examination can be shown in full."""
    if kind == "tables":
        sys.stdout.write(matrix.tables_as_text(report, color=sys.stdout.isatty()))
        return
    console = Console(markup=False, emoji=False)
    print_lines(_lines(kind, report, Marks.of(console), verbose=verbose), console)
    if note:
        print_lines([text_line(note, "dim", indent=0)], console)


def plain_text(kind: ReportKind, report: Any, *, verbose: bool = False) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report without color and without wrapping."""
    if kind == "tables":
        return matrix.tables_as_text(report, color=False)
    marks = Marks(ascii_only=False)
    return "".join(f"{plain(line)}\n" for line in _lines(kind, report, marks, verbose=verbose))


def refusal(report: Any) -> str:  # noqa: ANN401 - a report of the linter
    """Return which fixes were refused, and what to do by hand, as plain text."""
    marks = Marks.of(Console(stderr=True))
    return "".join(f"{plain(line)}\n" for line in lint.refusal(report, marks))


def verdict(kind: ReportKind, report: Any) -> str:  # noqa: ANN401 - a report of that kind
    """Return the verdict of a report as one line of plain text."""
    marks = Marks.of(Console(stderr=True))
    if kind == "needs":
        return plain(needs.verdict_line(report, marks))
    line = verdicts.verdict_line(report, marks) if kind == "check" else lint.verdict_line(report, marks)
    return plain(line)


def _lines(kind: ReportKind, report: Any, marks: Marks, *, verbose: bool) -> Iterator[Line]:  # noqa: ANN401
    if kind == "check":
        return check.render(report, marks, verbose=verbose)
    return _LINE_RENDERERS[kind](report, marks)
