"""Reports on a terminal. Text is wrapped and colored if a person reads it, and plain if it goes to a pipe or file.

The renderer of a kind is imported when such a report is shown. It imports the layers that it shows, and a lint would
wait for the checks, the probe and the remedies.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from vc2doctor.report.formats import ReportKind
from vc2doctor.report.terminal.lines import Line, Marks, plain, print_to, text_line

_LINE_RENDERERS: dict[ReportKind, tuple[str, str]] = {
    "check": ("check", "render"),
    "lint": ("lint", "render"),
    "versions": ("matrix", "render_answer"),
    "needs": ("needs", "render"),
}
"""Module and function for each kind of report that consists of lines. Tables are drawn as a whole."""
_VERDICT_RENDERERS: dict[ReportKind, str] = {"check": "verdict", "lint": "lint", "needs": "needs"}
"""The module whose ``verdict_line`` gives the verdict in one line."""


def show(
    kind: ReportKind,
    report: Any,  # noqa: ANN401 - a report of that kind
    note_on: Callable[[str], str],
    *,
    verbose: bool = False,
    to_stderr: bool = False,
) -> None:
    """Print a report to standard output or error; a report on an examination can be shown in full.

    ``note_on`` returns the note to print below a report with this plain text, or an empty text.
    """
    if kind == "tables":
        sys.stdout.write(_function("matrix", "tables_as_text")(report, color=sys.stdout.isatty()))
        return
    stream = sys.stderr if to_stderr else sys.stdout
    lines = tuple(_lines(kind, report, Marks.of(stream), verbose=verbose))
    print_to(stream, lines)
    if note := note_on(_joined(lines)):
        print_to(stream, [text_line(note, "dim", indent=0)])


def show_brief(report: Any) -> None:  # noqa: ANN401 - a report on an examination
    """Print to standard error that a command may run, and what was not checked."""
    print_to(sys.stderr, _function("gate", "brief")(report, Marks.of(sys.stderr)))


def plain_text(kind: ReportKind, report: Any, *, verbose: bool = False) -> str:  # noqa: ANN401 - a report of that kind
    """Return a report without color and without wrapping."""
    if kind == "tables":
        return str(_function("matrix", "tables_as_text")(report, color=False))
    marks = Marks(ascii_only=False)
    return _joined(_lines(kind, report, marks, verbose=verbose))


def refusal(report: Any) -> str:  # noqa: ANN401 - a report of the linter
    """Return which fixes were refused, and what to do by hand, as plain text."""
    marks = Marks.of(sys.stderr)
    return _joined(_function("lint", "refusal")(report, marks))


def verdict_text(kind: ReportKind, report: Any) -> str:  # noqa: ANN401 - a report of that kind
    """Return the verdict of a report as one line of plain text."""
    return _verdict(kind, report, Marks.of(sys.stderr))


def sentence(kind: ReportKind, report: Any) -> str:  # noqa: ANN401 - a report of that kind
    """Return the verdict of a report as one line of plain text without a mark, the same on every terminal."""
    return _verdict(kind, report, Marks(ascii_only=False)).partition(" ")[2].replace("\n", " ")


def _verdict(kind: ReportKind, report: Any, marks: Marks) -> str:  # noqa: ANN401 - a report of that kind
    return plain(_function(_VERDICT_RENDERERS[kind], "verdict_line")(report, marks))


def _joined(lines: Iterable[Line]) -> str:
    return "".join(f"{plain(line)}\n" for line in lines)


def _lines(kind: ReportKind, report: Any, marks: Marks, *, verbose: bool) -> Iterator[Line]:  # noqa: ANN401
    render = _function(*_LINE_RENDERERS[kind])
    lines: Iterator[Line] = render(report, marks, verbose=verbose) if kind == "check" else render(report, marks)
    return lines


def _function(module: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), name)
    return function
