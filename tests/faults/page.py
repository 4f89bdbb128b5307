"""The table of ``docs/faults.md``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.guards.table import GUARDS
from tests.faults.kinds import KINDS, Kind
from tests.faults.model import Row
from tests.faults.rows import all_rows


def table() -> str:
    """Return the rows of every kind, with what is expected."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    rows = all_rows()
    yield f"{len(rows)} faults in {len(KINDS)} kinds, and {len(GUARDS)} guards.\n"
    yield "| kind | | faults | version 0.1.0 |\n|---|---|---|---|"
    for key, kind in KINDS.items():
        count = sum(row.kind == key for row in rows)
        yield f"| {key} | {kind.title} | {count} | {kind.before or 'was not tried'} |"
    for key, kind in KINDS.items():
        yield from _section(key, kind, [row for row in rows if row.kind == key])
    yield "\n## Guards\n"
    yield "| guard | the fault that shows it |\n|---|---|"
    yield from (f"| `{guard.module}.{guard.attribute}` | {guard.row.replace('_', ' ')} |" for guard in GUARDS)


def _section(key: str, kind: Kind, rows: list[Row]) -> Iterator[str]:
    yield f"\n## {key}. {kind.title}\n"
    yield "| fault | exit code | the output says |\n|---|---|---|"
    for row in rows:
        codes = ", ".join(map(_code, row.expected.codes))
        says = ", ".join(f"“{_cell(text)}”" for text in row.expected.says)
        yield f"| {_cell(row.sentence)} | {codes} | {says} |"


def _code(code: int) -> str:
    return str(code) if code >= 0 else f"signal {-code}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")
