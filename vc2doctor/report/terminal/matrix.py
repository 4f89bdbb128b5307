"""Tells the matrix: a judgement as text, a table as text or as a page."""

import io
import shlex
from collections import defaultdict
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from vc2doctor.commands.versions import Tables, VersionsAnswer
from vc2doctor.matrix.judge import Verdict
from vc2doctor.matrix.table import Table, TableCell
from vc2doctor.report.terminal.lines import Line, Marks, plain

_STYLES = {"trains": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}
_WIDTH = 100
_MOST = 4


def answer(found: VersionsAnswer, _: Marks) -> Iterator[Line]:
    """Yield the verdict, its ground, the nearest measured cells, and sets that train."""
    told = found.judgement
    undecided = told.verdict is not Verdict.INCOMPATIBLE
    first, *rest = told.reason.split("; ")
    lines = [f"{told.verdict.value}: {first}", *(f"  {part}" for part in rest)]
    for title, entries in (
        ("Known to fail under conditions that no version shows", told.conditions),
        ("It fails, depending on what was not named", tuple(_depends(found)) if undecided else ()),
        ("Nearest measured", found.nearest_cells),
        (
            "Measured to train",
            tuple(f"pip install {shlex.join(way.requirements)}  ({way.reason})" for way in found.remedies),
        ),
    ):
        if entries:
            lines += ["", f"{title}:", *(f"  {entry}" for entry in entries)]
    yield from (Line(Text(plain(line)), is_command=True) for line in lines)


def _depends(found: VersionsAnswer) -> Iterator[str]:
    """Yield the reasons where they are the answer; beside a verdict, a line for each package that was not named."""
    if found.judgement.uncertainty == "unnamed":
        yield from (f"{one.where}: {one.reason}" for one in found.possible_conflicts)
        return
    by_package: dict[str, list[str]] = defaultdict(list)
    for one in found.possible_conflicts:
        name = " and ".join(one.missing)
        by_package[name].append(one.where.removeprefix(f"with {name} "))
    for name, wheres in by_package.items():
        more = f" and {len(wheres) - _MOST} more ranges" if len(wheres) > _MOST else ""
        yield f"{name}: {', '.join(dict.fromkeys(wheres[:_MOST]))}{more}"


def drawn(report: Tables, *, color: bool) -> str:
    """Return the tables as text, at most 100 columns wide where their releases allow that."""
    console = Console(file=io.StringIO(), width=_WIDTH, force_terminal=color, no_color=not color, highlight=False)
    for each in report.tables:
        _draw(each, console)
    file = console.file
    return file.getvalue() if isinstance(file, io.StringIO) else ""


def page(report: Tables) -> str:
    """Return the tables as one HTML page that needs nothing else."""
    console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_terminal=True, highlight=False)
    for found in report.tables:
        _draw(found, console)
        console.print()
    return console.export_html(inline_styles=True)


def _draw(found: Table, console: Console) -> None:
    console.print(
        Text(f"torch {found.torch}, under {found.recipe}: transformers (rows) with peft (columns)", style="bold")
    )
    names = [_named(row.first, row.last) for row in found.rows]
    left = _WIDTH - max(map(len, names), default=0) - 2
    headers, legend = _headers(found.columns, left)
    # A table of many ranges is still a table: first the counts go, then the air.
    widest = [
        max(len(_entry(entry, counted=True)) for entry in column)
        for column in zip(*(r.entries for r in found.rows), strict=True)
    ]
    counted = sum(width + 2 for width in widest) <= left
    drawn = Drawn(box=box.SIMPLE, padding=(0, 1 if counted or 3 * len(headers) <= left else 0), pad_edge=False)
    drawn.add_column("", no_wrap=True)
    for header in headers:
        drawn.add_column(header, justify="center", no_wrap=True)
    for name, row in zip(names, found.rows, strict=True):
        drawn.add_row(name, *(_entry(entry, counted=counted) for entry in row.entries))
    console.print(drawn)
    if legend:
        console.print(f"peft: {legend}")
    console.print("✓ trains  ✗ fails  ? nobody knows; the number says how many cells were measured, none: inferred")


def _named(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _headers(columns: tuple[tuple[str, str], ...], width: int) -> tuple[list[str], str]:
    """Return a header for each column; letters, and what they stand for, where the releases would not fit."""
    whole = [first if first == last else f"{first}\n{last}" for first, last in columns]
    if sum(max(map(len, header.split("\n"))) + 2 for header in whole) <= width:
        return whole, ""
    letters = [chr(ord("A") + index % 26) * (index // 26 + 1) for index in range(len(columns))]
    return letters, ", ".join(f"{letter} {_named(*column)}" for letter, column in zip(letters, columns, strict=True))


def _entry(entry: TableCell, *, counted: bool) -> Text:
    sign, style = _STYLES[entry.kind]
    return Text(f"{sign}{entry.measured}" if entry.measured and counted else sign, style=style)
