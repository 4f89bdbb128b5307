"""``python -m tests.faults``: run the fault table and its guards, or write its page; ``nox -s faults`` runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.faults import machine
from tests.faults.guards.check import shows
from tests.faults.guards.table import GUARDS
from tests.faults.kinds import KINDS
from tests.faults.model import NotPossibleError, Row
from tests.faults.rows import all_rows
from tests.pages import blocks

_PAGE = "docs/faults.md"


def main() -> int:
    """Run rows and guards; return 1 if one is red."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", help="letters of kinds, or parts of names; default: everything")
    parser.add_argument("--page", action="store_true", help=f"write {_PAGE}, and run nothing")
    parser.add_argument("--only", choices=["rows", "guards"], help="run only these")
    options = parser.parse_args()
    if options.page:
        (blocks.ROOT / _PAGE).write_text(blocks.made(_PAGE), encoding="utf-8")
        return 0
    red = 0
    if options.only != "guards":
        red += sum(map(_is_red, [row for row in all_rows() if _is_selected(f"{row.kind} {row.name}", options.names)]))
    if options.only != "rows":
        red += sum(
            not _is_shown(number) for number, guard in enumerate(GUARDS) if _is_selected(guard.row, options.names)
        )
    print(f"{red} red")
    return int(bool(red))


def _is_selected(row: str, names: Sequence[str]) -> bool:
    return not names or any(row.startswith(f"{name} ") if name in KINDS else name in row for name in names)


def _is_red(row: Row) -> bool:
    """Run a row, and print what is wrong."""
    name = f"{row.kind} {row.name}"
    try:
        result = machine.run(row)
    except NotPossibleError as error:
        print(f"skipped {name}: {error}", flush=True)
        return False
    color = "red    " if result.faults else "green  "
    print(f"{color} {name} ({result.ran.seconds:.1f} s, {result.ran.cpu_seconds:.1f} s of CPU)", flush=True)
    for fault in result.faults:
        print(f"    {fault}".encode("ascii", "backslashreplace").decode(), flush=True)
    return bool(result.faults)


def _is_shown(number: int) -> bool:
    """Run the row of a guard without the guard, and print whether it is red, as it must be."""
    guard = GUARDS[number]
    name = f"{guard.module}.{guard.attribute}: {guard.row}"
    try:
        faults = shows(guard)
    except NotPossibleError as error:
        print(f"skipped {name}: {error}", flush=True)
        return True
    print(f"{'shown    ' if faults else 'NO EFFECT'} {name}", flush=True)
    for fault in faults:
        print(f"    {fault.splitlines()[0]}".encode("ascii", "backslashreplace").decode(), flush=True)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
