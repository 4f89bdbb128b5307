"""The rows, one module a kind: every ``Row``, and every tuple of rows, that a module defines is in the table."""

from __future__ import annotations

import importlib
import pkgutil

from tests.faults.model import Row


def all_rows() -> tuple[Row, ...]:
    """Return the rows of all modules, in their order."""
    found: list[Row] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            found.extend(each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, Row))
    return tuple(found)
