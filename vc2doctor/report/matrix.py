"""Tells the matrix: a judgement as text, a table as text or as a page."""

import io

from rich import box
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from vc2doctor.data import Data
from vc2doctor.matrix.judge import Judgement
from vc2doctor.matrix.table import Entry, Table
from vc2doctor.prescribe.nearest import Prescription

_STYLES = {"trains": ("✓", "green"), "fails": ("✗", "red"), "unknown": ("?", "yellow")}
_WIDTH = 100


class Explained(Data):
    """A judgement with what stands around it."""

    combination: dict[str, str]
    recipe: str
    judgement: Judgement
    depends: tuple[str, ...]
    """What would decide against it, of packages that were not named."""
    neighbours: tuple[str, ...]
    prescriptions: tuple[Prescription, ...]


def explained(found: Explained) -> str:
    """Return the verdict, its ground, the nearest measured cells, and sets that train."""
    told = found.judgement
    lines = [f"{told.verdict.value}: {told.ground}"]
    for title, entries in (
        ("Known to fail under conditions that no version shows", told.conditions),
        ("It fails, depending on what was not named", found.depends),
        ("Nearest measured", found.neighbours),
        (
            "Measured to train",
            tuple(f"pip install {' '.join(_quoted(way.requirements))}  ({way.ground})" for way in found.prescriptions),
        ),
    ):
        if entries:
            lines += ["", f"{title}:", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def _quoted(requirements: tuple[str, ...]) -> list[str]:
    return [f"'{text}'" if any(letter in text for letter in "<>!* ") else text for text in requirements]


def shown(found: Table, *, color: bool) -> str:
    """Return the table as text, at most 100 columns wide where its releases allow that."""
    console = Console(file=io.StringIO(), width=_WIDTH, force_terminal=color, no_color=not color, highlight=False)
    _draw(found, console)
    file = console.file
    return file.getvalue() if isinstance(file, io.StringIO) else ""


def page(tables: list[Table]) -> str:
    """Return the tables as one HTML page that needs nothing else."""
    console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_terminal=True, highlight=False)
    for found in tables:
        _draw(found, console)
        console.print()
    return console.export_html(inline_styles=True)


def _draw(found: Table, console: Console) -> None:
    console.print(
        Text(f"torch {found.torch}, under {found.recipe}: transformers (rows) with peft (columns)", style="bold")
    )
    drawn = Drawn(box=box.SIMPLE, padding=(0, 0), pad_edge=False, collapse_padding=True)
    drawn.add_column("", no_wrap=True)
    for first, last in found.columns:
        drawn.add_column(first if first == last else f"{first}\n{last}", justify="center", no_wrap=True)
    for row in found.rows:
        name = row.first if row.first == row.last else f"{row.first} to {row.last}"
        drawn.add_row(name, *map(_entry, row.entries))
    console.print(drawn)
    console.print("✓ trains  ✗ fails  ? nobody knows; the number says how many cells were measured, none: inferred")


def _entry(entry: Entry) -> Text:
    sign, style = _STYLES[entry.kind]
    return Text(f"{sign}{entry.measured}" if entry.measured else sign, style=style)
