"""The labelled places of public repositories, where the repositories are at hand.

``VC2DOCTOR_REPOSITORIES`` names a folder with a git directory each, as ``owner+name/repo`` or ``owner/name``. Their
code is written to a temporary folder, and nowhere else. Run it: ``nox -s lint-cases``.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.run import LintTask, judge

CASES = Path(__file__).parents[3] / "shared" / "data" / "lint_cases.jsonl"
_ENDINGS = (".py", ".ipynb", ".yaml", ".yml", ".json", ".sh", ".txt", ".toml")
_LARGEST = 3_000_000
# The notes proposed rules before they had their ids.
_PROPOSED = {"VC114 ": "VC109", "VC115 ": "VC114", "VC116 ": "VC101", "VC117 ": "VC107", "VC118 ": "VC105"}


class Case(NamedTuple):
    """A labelled place."""

    repository: str
    commit: str
    path: str
    first: int
    last: int
    rule: str
    ids: frozenset[str]
    finding: bool
    why: str


class Score(NamedTuple):
    """How a rule, or all of them, did."""

    found: int
    findings: int
    quiet: int
    clean: int
    wrong: tuple[Case, ...]


def cases() -> tuple[Case, ...]:
    """Return the labelled places; none where the file is not there."""
    lines = CASES.read_text(encoding="utf-8").splitlines() if CASES.is_file() else []
    return tuple(_case(json.loads(line)) for line in lines)


def _case(row: dict[str, Any]) -> Case:
    proposed = row.get("proposed_rule") or ""
    ids = {row["rule"], *(id_ for start, id_ in _PROPOSED.items() if proposed.startswith(start))}
    first, last = row["lines"]
    finding = row["expect"] == "finding"
    return Case(row["repo"], row["commit"], row["path"], first, last, row["rule"], frozenset(ids), finding, row["why"])


def repository(name: str) -> Path | None:
    """Return the git directory of a repository, if it is at hand."""
    root = os.environ.get("VC2DOCTOR_REPOSITORIES")
    if not root:
        return None
    places = (Path(root, name.replace("/", "+"), "repo"), Path(root, name, ".git"), Path(root, name))
    return next((place for place in places if (place / "HEAD").exists()), None)


def write_tree(git: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit that the linter could read; what a partial copy lacks is left out."""
    listing = _git(git, "ls-tree", "-r", "-z", "-l", commit).split(b"\0")
    wanted = [(entry.split()[2], path) for entry, path in _entries(listing)]
    answer = _git(git, "cat-file", "--batch", given=b"\n".join(blob for blob, _ in wanted) + b"\n")
    at = 0
    for _, path in wanted:
        end = answer.index(b"\n", at)
        head, at = answer[at:end].split(), end + 1
        if head[-1] != b"missing":
            size = int(head[2])
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(answer[at : at + size])
            at += size + 1


def _entries(listing: list[bytes]) -> Iterator[tuple[bytes, str]]:
    for line in filter(None, listing):
        entry, _, path = line.partition(b"\t")
        mode, _, _, size = entry.split()
        # A listed file is tracked, so what .gitignore says of it is no matter.
        if mode != b"120000" and size.isdigit() and int(size) <= _LARGEST and path.decode().endswith(_ENDINGS):
            yield entry, path.decode()


def _git(git: Path, *arguments: str, given: bytes = b"") -> bytes:
    command = ["git", f"--git-dir={git}", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def findings(git: Path, commit: str, folder: Path) -> tuple[CodeFinding, ...]:
    """Return what the linter says of a commit."""
    write_tree(git, commit, folder)
    return judge(LintTask(paths=(folder,))).findings


def is_right(case: Case, found: tuple[CodeFinding, ...]) -> bool:
    """Say whether the linter speaks, or is quiet, at a labelled place as it should."""
    hit = any(
        finding.id in case.ids and place.path == case.path and place.line <= case.last and place.end_line >= case.first
        for finding in found
        for place in finding.places
    )
    return hit is case.finding


def score(cases_: tuple[Case, ...], right: dict[Case, bool]) -> Score:
    """Return how the linter did on some places."""
    counts = Counter((case.finding, right[case]) for case in cases_)
    return Score(
        found=counts[True, True],
        findings=counts[True, True] + counts[True, False],
        quiet=counts[False, True],
        clean=counts[False, True] + counts[False, False],
        wrong=tuple(case for case in cases_ if not right[case]),
    )
