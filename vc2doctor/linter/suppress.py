"""What people told the linter to leave: comments on a line, and settings for files and rules."""

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from vc2doctor.linter.model import LintError

if TYPE_CHECKING:
    from vc2doctor.linter.model import CodeFinding, CodePlace, Edit
from vc2doctor.linter.read.ignore_comments import Silences
from vc2doctor.linter.settings import LintSettings


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
