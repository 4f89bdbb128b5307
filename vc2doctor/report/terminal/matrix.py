"""What the matrix knows, as text: a verdict on versions, and tables."""

import io
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from vc2doctor.commands.versions import Tables, VersionsAnswer
from vc2doctor.core import shell
from vc2doctor.matrix.doors import excluded, open_doors
from vc2doctor.matrix.grouping import closed_range
from vc2doctor.matrix.judge import Verdict
from vc2doctor.matrix.ranges import WORKS
from vc2doctor.matrix.table import Table, TableCell
from vc2doctor.remedies import commands
from vc2doctor.report.terminal.coverage import named, not_judged
from vc2doctor.report.terminal.lines import Line, Marks
from vc2doctor.report.terminal.styled import Text

_MARKS = {"trains": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}
_LEGEND = "✓ trains  ✗ fails  ? unknown; a number counts the measured cells, no number means inferred"
_WIDTH = 100
"""Columns of text that a table may take: it fits a terminal, a page of documentation and an issue."""
_COLUMN_GAP = 2
_MAX_GROUPS = 12
"""Groups of releases that are shown: with the lines of their reasons, they fill a screen."""
_KIND_OF_VERDICT = {
    Verdict.VERIFIED: "good",
    Verdict.COMPATIBLE: "good",
    Verdict.UNVERIFIED: "warn",
    Verdict.INCOMPATIBLE: "bad",
}
_MAX_RANGES = 4
"""Ranges of one package that are listed among the possible conflicts; the others are counted."""


def render_answer(answer: VersionsAnswer, marks: Marks) -> Iterator[Line]:
    """Yield the verdict, sets that train if it is bad, its reason, and then what else is known."""
    judgement = answer.judgement
    first_reason, *more_reasons = judgement.reason.split("; ")
    limits = not_judged({**answer.not_judged, **dict.fromkeys(open_doors(judgement), "")})
    # What is not judged ends the line of the verdict, so that no one who reads only this line is misled.
    yield _line(f"{judgement.verdict.value}{limits}{'' if limits else f': {first_reason}'}", 0)
    yield from _remedies(answer)
    reasons = (first_reason, *more_reasons) if limits else more_reasons
    yield from (_line(reason, 2) for reason in (*reasons, *_notes(answer)))
    yield from _groups(answer, marks)
    is_open = judgement.verdict is not Verdict.INCOMPATIBLE or answer.groups
    sections = {
        "Ruled out": tuple(excluded(judgement)),
        "Versions do not decide these; they fail only in the situation that is described": judgement.conditions,
        "If you also install one of these versions, it can fail": tuple(_possible_conflicts(answer)) if is_open else (),
        "Nearest measured": answer.nearest_cells,
    }
    for title, entries in sections.items():
        if entries:
            yield Line(Text())
            yield _line(f"{title}:", 0)
            yield from (_line(entry, 2) for entry in entries)
    yield Line(Text())
    yield _line(f"Matrix: {answer.matrix.sentence}", 0)


def _remedies(answer: VersionsAnswer) -> Iterator[Line]:
    if answer.narrowed:
        yield _line("All of this trains:", 2)
        yield Line(Text(f"    {shell.join(answer.narrowed)}"), is_command=True)
    for number, remedy in enumerate(answer.remedies):
        yield _line("Or:" if number else "Smallest change:", 2)
        yield Line(Text(f"    pip install {shell.join(commands.with_indexes(remedy.requirements))}"), is_command=True)
        yield _line(f"({remedy.reason})", 4)


def _line(text: str, indent: int) -> Line:
    """Return an indented line; what wraps is indented two columns more."""
    return Line(Text(f"{' ' * indent}{text}"), hang=indent + 2)


def _notes(answer: VersionsAnswer) -> Iterator[str]:
    """Yield what the user must know about what was judged."""
    if answer.matrix.warning:
        yield answer.matrix.warning
    if answer.newest:
        named = " and ".join(f"{name} {text}" for name, text in answer.newest.items())
        yield f"Judged with {named}, the newest that pip installs, because no version was named."
    if answer.any_version:
        yield f"The version of {' and '.join(answer.any_version)} was left open."


def _groups(answer: VersionsAnswer, marks: Marks) -> Iterator[Line]:
    """Yield the releases in the ranges by verdict, each group with its reason."""
    if not answer.groups:
        return
    yield Line(Text())
    ranges = [named(name, text) if text else f"all releases of {name}" for name, text in answer.ranges.items()]
    yield _line(f"In {' and '.join(ranges)}:", 0)
    for group in answer.groups[:_MAX_GROUPS]:
        mark, style = marks(_KIND_OF_VERDICT[group.verdict])
        releases = ", ".join(
            f"{name} {' and '.join(closed_range(*each) for each in ranges)}" for name, ranges in group.releases.items()
        )
        measured = f" ({group.verified} of {group.combinations} measured)" if group.verified else ""
        verdict = f"{mark} {group.verdict.value}"
        yield Line(Text.assemble("  ", (verdict, style), f": {releases}{measured}"), hang=4)
        if group.verdict not in WORKS and len(answer.groups) > 1:
            yield _line(group.reason.split("; ")[0], 6)
    if len(answer.groups) > _MAX_GROUPS:
        yield _line(f"and {len(answer.groups) - _MAX_GROUPS} more groups; --format json has all of them", 2)


def _possible_conflicts(answer: VersionsAnswer) -> Iterator[str]:
    """Yield one line for each joined conflict, with its reason if the conflicts are the answer."""
    for conflict in answer.joined_conflicts:
        if answer.judgement.uncertainty == "unnamed" and not answer.ranges:
            yield f"{conflict.where}: {conflict.reasons[0]}"
        else:
            more = len(conflict.releases) - _MAX_RANGES
            shown = ", ".join(conflict.releases[:_MAX_RANGES])
            yield f"{conflict.package} {shown}{f' and {more} more ranges' if more > 0 else ''}".strip()


def tables_as_text(report: Tables, *, color: bool) -> str:
    """Return the tables as text, at most 100 columns wide if their releases allow that."""
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=_WIDTH, force_terminal=color, no_color=not color, highlight=False, markup=False, emoji=False
    )
    for table in report.tables:
        _draw(table, console)
    return buffer.getvalue()


def _draw(table: Table, console: Console) -> None:
    title = f"torch {table.torch}, under {table.recipe}: transformers (rows) with peft (columns)"
    console.print(RichText(title, style="bold"))
    row_names = [closed_range(row.first, row.last) for row in table.rows]
    room = _WIDTH - max(map(len, row_names), default=0) - _COLUMN_GAP
    headers, letter_meanings = _headers(table.columns, room)
    # A table with many columns drops first the numbers in its cells, and then the space between columns.
    has_room_for_numbers = sum(width + _COLUMN_GAP for width in _column_widths(table)) <= room
    has_room_for_gaps = has_room_for_numbers or (1 + _COLUMN_GAP) * len(headers) <= room
    drawing = RichTable(box=box.SIMPLE, padding=(0, 1 if has_room_for_gaps else 0), pad_edge=False)
    drawing.add_column("", no_wrap=True)
    for header in headers:
        drawing.add_column(header, justify="center", no_wrap=True)
    for name, row in zip(row_names, table.rows, strict=True):
        drawing.add_row(name, *(_cell_text(cell, with_number=has_room_for_numbers) for cell in row.entries))
    console.print(drawing)
    if letter_meanings:
        console.print(f"peft: {letter_meanings}")
    console.print(_LEGEND)


def _column_widths(table: Table) -> list[int]:
    columns = zip(*(row.entries for row in table.rows), strict=True)
    return [max(len(_cell_text(cell, with_number=True)) for cell in column) for column in columns]


def _headers(columns: Sequence[tuple[str, str]], room: int) -> tuple[list[str], str]:
    """Return a header for each column, and the meaning of letters if the releases themselves do not fit."""
    releases = [first if first == last else f"{first}\n{last}" for first, last in columns]
    if sum(max(map(len, header.split("\n"))) + _COLUMN_GAP for header in releases) <= room:
        return releases, ""
    # A to Z, then AA to ZZ.
    letters = [chr(ord("A") + index % 26) * (index // 26 + 1) for index in range(len(columns))]
    meanings = [f"{letter} {closed_range(*column)}" for letter, column in zip(letters, columns, strict=True)]
    return letters, ", ".join(meanings)


def _cell_text(cell: TableCell, *, with_number: bool) -> RichText:
    mark, style = _MARKS[cell.kind]
    return RichText(f"{mark}{cell.measured}" if cell.measured and with_number else mark, style=style)
