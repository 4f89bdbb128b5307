"""The fast part of the fault table, and the table itself. ``nox -s faults`` runs all of it."""

from __future__ import annotations

import importlib
import operator
import sys
from collections import Counter

import pytest

from tests.faults import machine
from tests.faults.guards.check import row_of, shows
from tests.faults.guards.table import GUARDS, Guard
from tests.faults.kinds import KINDS
from tests.faults.model import Expected, NotPossibleError, Ran, Row
from tests.faults.rows import all_rows

ROWS = all_rows()
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.kind}-{row.name}") for row in ROWS if row.in_suite])
def test_fault_is_handled(row: Row) -> None:
    try:
        result = machine.run(row)
    except NotPossibleError as error:
        pytest.skip(str(error))
    assert not result.faults, "\n".join(result.faults)


@pytest.mark.parametrize(
    "guard", [pytest.param(guard, id=f"{guard.module}.{guard.attribute}") for guard in GUARDS if guard.in_suite]
)
def test_row_is_red_without_its_guard(guard: Guard) -> None:
    try:
        assert shows(guard), f"{guard.row} is green without {guard.module}.{guard.attribute}"
    except NotPossibleError as error:
        pytest.skip(str(error))


def test_table_is_large_enough_and_every_row_has_a_name_of_its_own() -> None:
    counts = Counter(row.kind for row in ROWS)
    assert len({(row.kind, row.name) for row in ROWS}) == len(ROWS)
    assert set(counts) <= set(KINDS)
    known = [key for key, kind in KINDS.items() if kind.before]
    assert all(counts[key] >= 5 for key in known), counts
    assert sum(counts[key] for key in KINDS if key not in known) >= 40
    assert len(ROWS) >= 150


def test_every_guard_names_a_row() -> None:
    assert all(row_of(guard) for guard in GUARDS)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.module}.{guard.attribute}")
def test_every_guard_is_in_its_module(guard: Guard) -> None:
    # Without it, the row would be red because the guard cannot be removed.
    value = operator.attrgetter(guard.attribute)(importlib.import_module(guard.module))
    if isinstance(guard.replacement, tuple):
        file, text, _ = guard.replacement
        assert text in (value / file).read_text(encoding="utf-8")


def _ran(code: int | None, out: str = "") -> Ran:
    return Ran(code, out, "", 1.0, 1.0)


@pytest.mark.parametrize(
    ("ran", "words"),
    [
        (_ran(0, "fine\n it says"), ""),
        (_ran(1, "fine it says"), "exit code 1, expected 0"),
        (_ran(None, "fine it says"), "it hung"),
        (_ran(0, "something else"), "its output lacks"),
        (_ran(0, "fine it says bad"), "its output holds 'bad'"),
        (_ran(0, "fine it says\nTraceback (most recent call last):"), "its output holds 'Traceback"),
    ],
)
def test_judgement_of_a_run(ran: Ran, words: str) -> None:
    faults = list(machine.judge(Expected((0,), ("fine it says",), ("bad",)), ran))
    assert len(faults) == bool(words), faults
    assert words in "".join(faults)
