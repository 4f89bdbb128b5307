"""Names for findings that stay the same from run to run, also if the lines above their places change.

SARIF calls them partial fingerprints, and baselines consist of them.
"""

from __future__ import annotations

import hashlib
from posixpath import normpath
from typing import TYPE_CHECKING

from vc2doctor.core.printing import printable
from vc2doctor.findings import is_of_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vc2doctor.findings import Finding, WaivedFinding
    from vc2doctor.linter.model import CodeFinding, Diagnosis, FindingKey

_CELL = "#"
"""Stands between the path of a notebook and the name of a cell, whose lines are not those of the file."""
_CHARACTERS = 32

Row = tuple[str, str, str]
"""The id of a finding, the path of its file or an empty text, and the printable message."""


def of_rows(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the fingerprints of findings; of equal ones the second differs from the first by its number."""
    counts: dict[str, int] = {}
    fingerprints = []
    for row in rows:
        text = "\0".join(row)
        counts[text] = counts.get(text, 0) + 1
        digest = hashlib.sha256(f"{text}\0{counts[text]}".encode("utf-8", "replace")).hexdigest()
        fingerprints.append(digest[:_CHARACTERS])
    return tuple(fingerprints)


def of_check(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the fingerprints of the findings of an examination."""
    return of_rows((finding.id, file_of(path_of(finding) or ""), printable(finding.message)) for finding in findings)


def of_lint(findings: Iterable[CodeFinding], root: str) -> tuple[str, ...]:
    """Return the fingerprints of findings of the linter; ``root`` leads from the working directory to their paths."""
    return of_rows((each.id, file_of(f"{root}{each.path}"), printable(each.message)) for each in findings)


def path_of(finding: Finding | WaivedFinding) -> str | None:
    """Return the file of the project that a finding of an examination is about; ``None``: there is none."""
    if finding.manifest is not None:
        return finding.manifest.path
    # The paths of other findings lie in the environment.
    return finding.path if is_of_code(finding.id) else None


def file_of(path: str) -> str:
    """Return a path as the formats show it: without the cell of a notebook, normalized, and on one line."""
    shown = path.partition(_CELL)[0] if is_cell(path) else path
    # A line break in the name of a file would be one in the formats that have a line for each finding.
    return printable(normpath(shown)).replace("\n", "\N{REPLACEMENT CHARACTER}") if shown else ""


def is_cell(path: str) -> bool:
    """Return whether a path names a cell of a notebook: ``train.ipynb#cell3``."""
    file, cell, _ = path.partition(_CELL)
    return bool(cell) and file.endswith(".ipynb")


def with_diagnosed(findings: Iterable[CodeFinding], diagnoses: Iterable[Diagnosis]) -> Iterator[CodeFinding]:
    """Yield findings and then the places of diagnoses that no rule reports by itself, each once."""
    diagnosed = [place for diagnosis in diagnoses for place in diagnosis.places]
    keys = {place.key for place in diagnosed}
    seen: set[FindingKey] = set()
    for finding in (*findings, *diagnosed):
        if finding.key not in seen or finding.key not in keys:
            seen.add(finding.key)
            yield finding
