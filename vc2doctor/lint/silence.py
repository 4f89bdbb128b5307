"""What people told the linter to leave: comments on a line, and settings for files and rules."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from vc2doctor.data import Data
from vc2doctor.lint.errors import LintError

if TYPE_CHECKING:
    from vc2doctor.lint.model import CodeFinding, CodePlace, Edit

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


class LintSettings(Data):
    """``[tool.vc2doctor.lint]``: which rules run, and where they are quiet."""

    model_config = ConfigDict(alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True)

    select: tuple[str, ...] | None = None
    """Ids, or beginnings of ids; default: all."""
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Pattern of a path → ids: ``{"legacy/*" = ["VC101"]}``."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths that are not read."""


def selected(settings: LintSettings, known: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of the rules that run.

    Raises:
        LintError: a name is the beginning of no rule's id.
    """
    for name in (*(settings.select or ()), *settings.extend_select, *settings.ignore):
        if not _matching([name], known):
            message = f"there is no rule {name!r}; there are {', '.join(known)}"
            raise LintError(message)
    chosen = set(known) if settings.select is None else _matching(settings.select, known)
    return frozenset((chosen | _matching(settings.extend_select, known)) - _matching(settings.ignore, known))


def _matching(names: Iterable[str], known: tuple[str, ...]) -> set[str]:
    return {id_ for id_ in known for name in names if name and id_.startswith(name.upper())}


def quieten(
    findings: "Iterable[CodeFinding]", silences: Silences, settings: LintSettings
) -> "tuple[tuple[CodeFinding, ...], int]":
    """Return the findings that were not told to be left, and how many places were."""
    kept: list[CodeFinding] = []
    left = 0
    for finding in findings:
        places = [place for place in finding.places if not _is_left(finding.id, place, silences, settings)]
        gone = [place for place in finding.places if place not in places]
        left += len(gone)
        if places:
            first, *rest = places
            moved = {"path": first.path, "line": first.line, "end_line": first.end_line, "also": tuple(rest)}
            # What is left is not mended either.
            edits = {name: _without(getattr(finding, name), gone) for name in ("bf16", "safe", "unsafe")}
            kept.append(finding.model_copy(update={**moved, **edits}))
    return tuple(kept), left


def _without(edits: "tuple[Edit, ...]", gone: "list[CodePlace]") -> "tuple[Edit, ...]":
    return tuple(
        edit
        for edit in edits
        if not any(edit.path == place.path and place.line <= edit.line <= place.end_line for place in gone)
    )


def _is_left(id_: str, place: "CodePlace", silences: Silences, settings: LintSettings) -> bool:
    lines = silences.get(place.path, {})
    for line in (place.line, place.end_line):
        ids = lines.get(line)
        if ids is not None and (not ids or id_ in ids):
            return True
    return any(
        fnmatch(place.path, pattern) and any(id_.startswith(name.upper()) for name in names)
        for pattern, names in settings.per_file_ignores.items()
    )
