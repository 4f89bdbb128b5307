"""Comments that suppress rules on a line: ``# vc2doctor: ignore[VC103]``."""

import re
from collections.abc import Mapping

_COMMENT = re.compile(r"#\s*vc2doctor:\s*ignore(?:\[([^\]]*)\])?", re.IGNORECASE)

IgnoredLines = Mapping[str, Mapping[int, frozenset[str]]]
"""File → line → ids of the rules that are suppressed there; an empty set: all rules."""


def ignored_lines(text: str) -> dict[int, frozenset[str]]:
    """Return the lines with ``# vc2doctor: ignore[…]``, each with the ids; an empty set stands for all rules."""
    if "vc2doctor" not in text:
        return {}
    matches = ((number, _COMMENT.search(line)) for number, line in enumerate(text.splitlines(), 1))
    return {
        number: frozenset(part.strip().upper() for part in (match.group(1) or "").split(",") if part.strip())
        for number, match in matches
        if match is not None
    }
