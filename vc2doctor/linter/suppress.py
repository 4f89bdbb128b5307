"""Which rules run, and which places are suppressed: by comments on a line, and by settings for files and rules."""

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.ignore_comments import IgnoredLines
from vc2doctor.linter.settings import LintSettings

if TYPE_CHECKING:
    from vc2doctor.linter.model import CodeFinding, CodePlace, Edit


def selected_rules(settings: LintSettings, ids: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of the rules that run; ``ids`` are the ids of all rules.

    Raises:
        LintError: a name in the settings is not the prefix of any rule id.
    """
    for name in (*(settings.select or ()), *settings.extend_select, *settings.ignore):
        if not _with_prefix([name], ids):
            message = f"there is no rule {name!r}; there are {', '.join(ids)}"
            raise LintError(message)
    selected = set(ids) if settings.select is None else _with_prefix(settings.select, ids)
    return frozenset((selected | _with_prefix(settings.extend_select, ids)) - _with_prefix(settings.ignore, ids))


def _with_prefix(prefixes: Iterable[str], ids: tuple[str, ...]) -> set[str]:
    return {id_ for id_ in ids for prefix in prefixes if prefix and id_.startswith(prefix.upper())}


def without_suppressed(
    findings: "Iterable[CodeFinding]", ignored_lines: IgnoredLines, settings: LintSettings
) -> "tuple[tuple[CodeFinding, ...], int]":
    """Return the findings without their suppressed places, and how many places were suppressed."""
    kept_findings: list[CodeFinding] = []
    count = 0
    for finding in findings:
        suppressed = [place for place in finding.places if _is_suppressed(finding.id, place, ignored_lines, settings)]
        kept = [place for place in finding.places if place not in suppressed]
        count += len(suppressed)
        if kept:
            kept_findings.append(_reduced(finding, kept, suppressed))
    return tuple(kept_findings), count


def _reduced(finding: "CodeFinding", kept: "list[CodePlace]", suppressed: "list[CodePlace]") -> "CodeFinding":
    """Return the finding at its remaining places. Suppressed places are not fixed either, so their edits go as well."""
    main, *others = kept
    fields = {"path": main.path, "line": main.line, "end_line": main.end_line, "also": tuple(others)}
    edits = {
        name: _outside(getattr(finding, name), suppressed) for name in ("bf16_edits", "safe_edits", "unsafe_edits")
    }
    return finding.model_copy(update={**fields, **edits})


def _outside(edits: "tuple[Edit, ...]", places: "list[CodePlace]") -> "tuple[Edit, ...]":
    return tuple(
        edit
        for edit in edits
        if not any(edit.path == place.path and place.line <= edit.line <= place.end_line for place in places)
    )


def _is_suppressed(id_: str, place: "CodePlace", ignored_lines: IgnoredLines, settings: LintSettings) -> bool:
    lines = ignored_lines.get(place.path, {})
    # A call over several lines has its comment on the first line or behind the closing parenthesis.
    for line in (place.line, place.end_line):
        ids = lines.get(line)
        if ids is not None and (not ids or id_ in ids):
            return True
    return any(
        fnmatch(place.path, pattern) and any(id_.startswith(prefix.upper()) for prefix in prefixes)
        for pattern, prefixes in settings.per_file_ignores.items()
    )
