"""The lines that reports for people consist of."""

import os
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TextIO

from vc2doctor.core.printing import printable, without_workflow_commands
from vc2doctor.core.wording import counted
from vc2doctor.findings import Finding, Severity
from vc2doctor.report.terminal.styled import Text

if TYPE_CHECKING:
    from rich.console import Console

_MARKS = {"good": ("✓", "ok"), "bad": ("✗", "X"), "none": ("-", "-"), "warn": ("!", "!"), "note": ("·", ".")}
"""By kind: the mark, and its replacement on a terminal that shows ASCII only."""
_STYLES = {"good": "green", "bad": "bold red", "none": "dim", "warn": "yellow", "note": "dim"}
_ASK_FOR_COLOR = {"FORCE_COLOR", "TTY_COMPATIBLE"}
"""Environment variables with which rich takes a pipe for a terminal (https://rich.readthedocs.io, Console API)."""
_LABEL_WIDTH = 14
"""``Combination`` and a gap."""
_NAME_WIDTH, _OUTCOME_WIDTH = 23, 12
"""Columns of a row of the probe: ``bf16-in-fp16-autocast`` and ``not measured`` fit."""
_MIN_TEXT_WIDTH = 24
"""With less room beside an indent, text would be cut into single words."""
_SMALL_INDENT = 6
"""Used in place of a deeper indent on a narrow terminal."""

MARK_OF_SEVERITY = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "note"}
"""The kind of mark before a finding of this severity."""


class Line(NamedTuple):
    """One line before wrapping. A command is never wrapped, so that it can be copied."""

    text: Text
    hang: int = 0
    """The indent of the lines that wrapping adds."""
    is_command: bool = False


class Marks:
    """The marks before a line, as the terminal can show them."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.ascii_only = ascii_only
        self._column = 1 if ascii_only else 0

    @classmethod
    def of(cls, stream: "TextIO | Console") -> "Marks":
        """Return the marks that a stream or a terminal can show."""
        return cls(ascii_only=not (stream.encoding or "utf-8").lower().startswith("utf"))

    def __call__(self, kind: str) -> tuple[str, str]:
        """Return mark and style of ``kind``: good, bad, none, warn or note."""
        return _MARKS[kind][self._column], _STYLES[kind]


def plain(line: Line) -> str:
    """Return a line as plain text, with what it quotes made printable."""
    return _finished(line).text.plain


def _finished(line: Line) -> Line:
    """Return a line with what it quotes made printable. A line break in it cannot begin what looks like a new line."""
    indent = " " * (line.hang or _SMALL_INDENT)
    return line._replace(text=line.text.changed(lambda part: printable(part).replace("\n", f"\n{indent}")))


def print_to(stream: TextIO, lines: Iterable[Line]) -> None:
    """Print lines: with colors and wrapped on a terminal, else plain."""
    if stream.isatty() or os.environ.keys() & _ASK_FOR_COLOR:
        from rich.console import Console  # noqa: PLC0415 - slow, and only a terminal needs it

        print_lines(lines, Console(markup=False, emoji=False, file=stream))
        return
    stream.writelines(f"{line.text.plain}\n" for line in map(_printed, lines))


def print_lines(lines: Iterable[Line], console: "Console") -> None:
    """Print lines on a console of rich; on a terminal wrap all but commands."""
    for line in map(_printed, lines):
        text = line.text.to_rich()
        if line.is_command or not console.is_terminal:
            console.print(text, soft_wrap=True, highlight=False)
            continue
        hang = line.hang if console.width - line.hang >= _MIN_TEXT_WIDTH else _SMALL_INDENT
        # Only the first line carries what stands in the indent: a mark, a label, the name of a row.
        head, body = text[:hang], text[hang:]
        first, *rest = body.wrap(console, max(_MIN_TEXT_WIDTH, console.width - hang)) or [Text().to_rich()]
        console.print(head + first, soft_wrap=True, highlight=False)
        for part in rest:
            console.print(Text(" " * hang).to_rich() + part, soft_wrap=True, highlight=False)


def _printed(line: Line) -> Line:
    finished = _finished(line)
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return finished
    # The text of an exception or the name of a file must not be a command to the runner.
    safe = without_workflow_commands(finished.text.plain)
    return finished if safe == finished.text.plain else finished._replace(text=Text(safe))


def counted_by_severity(findings: Iterable[Finding]) -> str:
    """Return how many findings of each severity there are: ``2 errors, 1 note``."""
    numbers = Counter(finding.severity for finding in findings)
    return ", ".join(counted(numbers[severity], severity.value) for severity in reversed(Severity) if numbers[severity])


def labeled_line(label: str, text: str) -> Line:
    """Return a line with a label in bold before the text."""
    return Line(Text.assemble((f"  {label:<{_LABEL_WIDTH}}", "bold"), text), hang=_LABEL_WIDTH + 2)


def text_line(text: str, style: str = "", *, indent: int = 6) -> Line:
    """Return an indented line; wrapping keeps the indent."""
    return Line(Text(f"{' ' * indent}{text}", style), hang=indent)


def command_line(command: str, *, indent: int = 8) -> Line:
    """Return an indented command."""
    return Line(Text.assemble(" " * indent, (command, "cyan")), is_command=True)


def short_row(mark: tuple[str, str], name: str, outcome: str, description: str) -> Line:
    """Return a row of the probe without columns, so that 80 columns hold it; only the first clause is shown."""
    text = f"{name}: {outcome}, {description.partition('; ')[0]}".replace("\n", " ")
    return Line(Text.assemble("    ", (f"{mark[0]:<2}", mark[1]), text), hang=6)


def probe_row(mark: tuple[str, str], name: str, outcome: str, description: str, min_width: int = 0) -> Line:
    """Return a row of the probe; ``min_width`` is that of the longest name in its table."""
    columns = f" {name:<{max(min_width, _NAME_WIDTH)}} {outcome:<{_OUTCOME_WIDTH}} "
    one_line = description.replace("\n", " ")
    return Line(Text.assemble("    ", (f"{mark[0]:<2}", mark[1]), columns, one_line), hang=6 + len(columns))
