"""Comments that silence rules on a line: ``# vc2doctor: ignore[VC103]``."""

import re
from collections.abc import Mapping

_COMMENT = re.compile(r"#\s*vc2doctor:\s*ignore(?:\[([^\]]*)\])?", re.IGNORECASE)


Silences = Mapping[str, Mapping[int, frozenset[str]]]
"""File → line → ids that are ignored there; an empty set: all."""


def comments(text: str) -> dict[int, frozenset[str]]:
    """Return the lines of a file with ``# vc2doctor: ignore[VC103]``, each with the ids."""
    if "vc2doctor" not in text:
        return {}
    found = ((number, _COMMENT.search(line)) for number, line in enumerate(text.splitlines(), 1))
    return {
        number: frozenset(part.strip().upper() for part in (match.group(1) or "").split(",") if part.strip())
        for number, match in found
        if match is not None
    }
