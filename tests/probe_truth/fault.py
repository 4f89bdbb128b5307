"""One row of the table of planted faults."""

from __future__ import annotations

from typing import NamedTuple

from packaging.specifiers import SpecifierSet


class Fault(NamedTuple):
    """One planted fault, with the outcome and cause to report under ``recipe``. Its twin must be ``finite``.

    ``name`` is a function in ``planted/MODULE.py``, and ``NAME_twin`` its twin. ``torch`` limits the releases in which
    the fault has an effect.
    """

    name: str
    recipe: str
    outcome: str
    cause: str | None
    description: str
    torch: str = ""
    module: str = "faults"

    def applies_to(self, torch: str) -> bool:
        """Return whether the fault has an effect in this release of torch."""
        return SpecifierSet(self.torch).contains(torch)
