"""What the matrix knows: a verdict on versions as text, and tables as text or as an HTML page."""

import io
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from vc2doctor.commands.versions import Tables, VersionsAnswer
from vc2doctor.matrix.judge import Verdict
from vc2doctor.matrix.table import Table, TableCell
from vc2doctor.report.terminal.lines import Line, Marks, printable

_MARKS = {"trains": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}
_LEGEND = "✓ trains  ✗ fails  ? unknown; a number counts the measured cells, no number means inferred"
_WIDTH = 100
"""Columns of text that a table may take: it fits a terminal, a page of documentation and an issue."""
_COLUMN_GAP = 2
_MAX_RANGES = 4
"""Ranges of one package that are listed among the possible conflicts; the others are counted."""


def render_answer(answer: VersionsAnswer, _: Marks) -> Iterator[Line]:
    """Yield the verdict with its reason, then possible conflicts, nearest measured cells and remedies."""
    judgement = answer.judgement
    first_reason, *more_reasons = judgement.reason.split("; ")
    lines = [f"{judgement.verdict.value}: {first_reason}", *(f"  {reason}" for reason in more_reasons)]
    is_open = judgement.verdict is not Verdict.INCOMPATIBLE
    sections = {
        "Versions do not decide these; they fail only in the situation that is described": judgement.conditions,
        "These other packages could still break it": tuple(_possible_conflicts(answer)) if is_open else (),
        "Nearest measured": answer.nearest_cells,
        "Smallest change": tuple(
            f"{'or: ' if index else ''}pip install {shlex.join(remedy.requirements)}  ({remedy.reason})"
            for index, remedy in enumerate(answer.remedies)
        ),
    }
    for title, entries in sections.items():
        if entries:
            lines += ["", f"{title}:", *(f"  {entry}" for entry in entries)]
    yield from (Line(Text(printable(line)), is_command=True) for line in lines)


def _possible_conflicts(answer: VersionsAnswer) -> Iterator[str]:
    """Yield one line per conflict with its reason if the conflicts are the answer, else one line per package."""
    if answer.judgement.uncertainty == "unnamed":
        yield from (f"{conflict.where}: {conflict.reason}" for conflict in answer.possible_conflicts)
        return
    ranges_by_package: dict[str, list[str]] = defaultdict(list)
    for conflict in answer.possible_conflicts:
        package = " and ".join(conflict.missing)
        ranges_by_package[package].append(conflict.where.removeprefix(f"with {package} "))
    for package, ranges in ranges_by_package.items():
        more = f" and {len(ranges) - _MAX_RANGES} more ranges" if len(ranges) > _MAX_RANGES else ""
        yield f"{package}: {', '.join(dict.fromkeys(ranges[:_MAX_RANGES]))}{more}"


def tables_as_text(report: Tables, *, color: bool) -> str:
    """Return the tables as text, at most 100 columns wide if their releases allow that."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=_WIDTH, force_terminal=color, no_color=not color, highlight=False)
    for table in report.tables:
        _draw(table, console)
    return buffer.getvalue()


def tables_as_html(report: Tables) -> str:
    """Return the tables as one self-contained HTML page."""
    console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_terminal=True, highlight=False)
    for table in report.tables:
        _draw(table, console)
        console.print()
    return console.export_html(inline_styles=True)


def _draw(table: Table, console: Console) -> None:
    title = f"torch {table.torch}, under {table.recipe}: transformers (rows) with peft (columns)"
    console.print(Text(title, style="bold"))
    row_names = [_range_name(row.first, row.last) for row in table.rows]
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


def _range_name(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _headers(columns: Sequence[tuple[str, str]], room: int) -> tuple[list[str], str]:
    """Return a header for each column, and the meaning of letters if the releases themselves do not fit."""
    releases = [first if first == last else f"{first}\n{last}" for first, last in columns]
    if sum(max(map(len, header.split("\n"))) + _COLUMN_GAP for header in releases) <= room:
        return releases, ""
    # A to Z, then AA to ZZ.
    letters = [chr(ord("A") + index % 26) * (index // 26 + 1) for index in range(len(columns))]
    meanings = [f"{letter} {_range_name(*column)}" for letter, column in zip(letters, columns, strict=True)]
    return letters, ", ".join(meanings)


def _cell_text(cell: TableCell, *, with_number: bool) -> Text:
    mark, style = _MARKS[cell.kind]
    return Text(f"{mark}{cell.measured}" if cell.measured and with_number else mark, style=style)
