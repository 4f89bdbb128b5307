"""Removes a guard, and runs the row that must be red then."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import machine
from tests.faults.rows import all_rows
from tests.faults.scene import ROOT

if TYPE_CHECKING:
    from tests.faults.guards.table import Guard
    from tests.faults.model import Row

_REMOVAL = Path(__file__).parent / "removal"
_MAX_SECONDS = 60.0
"""Without its guard a row may hang, which takes this long."""


def row_of(guard: Guard) -> Row:
    """Return the row that shows the guard."""
    return next(row for row in all_rows() if f"{row.kind} {row.name}" == guard.row)


def shows(guard: Guard) -> tuple[str, ...]:
    """Return what is wrong in the row of ``guard`` if the guard is removed; nothing: the row does not show it.

    Raises:
        NotPossibleError: this machine cannot run the row.
    """
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        variables = {
            "PYTHONPATH": os.pathsep.join((str(_REMOVAL), str(ROOT))),
            "VC2DOCTOR_FAULTS_GUARD": json.dumps({**guard._asdict(), "folder": folder}),
        }
        return machine.run(row_of(guard), variables, _MAX_SECONDS).faults
