"""What a line of the report for people is made of."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from vc2doctor.findings import Finding, Severity

_MARKS = {"good": ("✓", "ok"), "bad": ("✗", "X"), "none": ("-", "-"), "warn": ("!", "!"), "note": ("·", ".")}
_STYLES = {"good": "green", "bad": "bold red", "none": "dim", "warn": "yellow", "note": "dim"}
_LABEL = 14
_NARROWEST = 24

OF_SEVERITY = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "note"}
"""Which mark a finding of a severity has."""


class Line(NamedTuple):
    """One line before wrapping: ``hang`` is the indent of its continuations; a command is never wrapped."""

    text: Text
    hang: int = 0
    is_command: bool = False


class Marks:
    """The signs before a line, as a terminal can show them."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._column = 1 if ascii_only else 0

    @classmethod
    def of(cls, console: Console) -> "Marks":
        """Return the signs that ``console`` can show."""
        return cls(ascii_only=not console.encoding.lower().startswith("utf"))

    def __call__(self, kind: str) -> tuple[str, str]:
        """Return sign and style of ``kind``: good, bad, none, warn or note."""
        return _MARKS[kind][self._column], _STYLES[kind]


def print_lines(lines: Iterable[Line], console: Console) -> None:
    """Print lines: wrapped on a terminal where they may be, one line a line elsewhere."""
    for line in lines:
        if line.is_command or not console.is_terminal:
            console.print(line.text, soft_wrap=True, highlight=False)
            continue
        # On a narrow terminal a deep indent would leave no room for words.
        hang = line.hang if console.width - line.hang >= _NARROWEST else 6
        indent = " " * hang
        # What stands in the indent belongs to the first line only.
        head, body = line.text[:hang], line.text[hang:]
        first, *rest = body.wrap(console, max(_NARROWEST, console.width - hang)) or [Text()]
        console.print(head + first, soft_wrap=True, highlight=False)
        for part in rest:
            console.print(Text(indent) + part, soft_wrap=True, highlight=False)


def plain(text: str) -> str:
    """Return ``text`` without the control characters that a terminal would obey."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def counted(findings: Iterable[Finding]) -> str:
    """Return how many findings of each severity there are: ``2 errors, 1 note``."""
    numbers = Counter(finding.severity for finding in findings)
    told = ((severity.value, numbers[severity]) for severity in reversed(Severity) if numbers[severity])
    return ", ".join(f"{number} {name}{'s' if number > 1 else ''}" for name, number in told)


def labelled(label: str, text: str) -> Line:
    """Return a line of the head: a label in bold, and what stands there."""
    return Line(Text.assemble((f"  {label:<{_LABEL}}", "bold"), plain(text)), hang=_LABEL + 2)


def row(mark: tuple[str, str], name: str, outcome: str, told: str) -> Line:
    """Return a row of the probe."""
    start = f" {name:<23} {outcome:<12} "
    first = plain(told).replace("\n", " ")
    return Line(Text.assemble("    ", (f"{mark[0]:<2}", mark[1]), start, first), hang=6 + len(start))
