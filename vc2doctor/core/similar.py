"""Names that are nearly the one that a user wrote."""

import difflib
from collections.abc import Iterable

MAX_SIMILAR = 3
"""Names that a message offers: more are a list to read, and no help."""
MIN_LIKENESS = 0.6
"""The default of difflib: one wrong letter in three."""
ID_LIKENESS = 0.8
"""For ids such as VC105, which all look alike: one wrong character of five, or one too many."""


def similar(name: str, known: Iterable[str], number: int = MAX_SIMILAR, *, likeness: float = MIN_LIKENESS) -> list[str]:
    """Return the names that look most like ``name``, the nearest first. Upper and lower case are the same."""
    by_lower = {each.lower(): each for each in known}
    lower = name.lower()
    near = difflib.get_close_matches(lower, by_lower, n=number, cutoff=likeness)
    return [by_lower[each] for each in near]


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = MIN_LIKENESS) -> str:
    """Return `` Did you mean train.py?``, with a space before it; empty if nothing looks like ``name``."""
    near = similar(name, known, 1, likeness=likeness)
    return f" Did you mean {near[0]}?" if near else ""
