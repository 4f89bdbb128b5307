"""Labelled places of public repositories, and how the linter does on them.

``VC2DOCTOR_REPOSITORIES`` names a folder of git directories, each as ``owner+name/repo`` or ``owner/name``. Their code
is written to a temporary folder only. Run it with ``nox -s lint-cases``.
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
from vc2doctor.linter.run import LintTask, apply_rules

_DATA = Path(__file__).parents[3] / "shared" / "data"
CASES = (_DATA / "lint_cases.jsonl", _DATA / "lint_cases_2.jsonl")
_ENDINGS = (
    *(".py", ".ipynb", ".yaml", ".yml", ".json", ".sh", ".txt", ".toml", ".md", ".slurm", ".sbatch", ".cfg"),
    "Dockerfile",
)
MAX_FILE_BYTES = 3_000_000
"""Larger files are data, and are not written."""

_IDS_OF_PROPOSED_RULES = {"VC114 ": "VC109", "VC115 ": "VC114", "VC116 ": "VC101", "VC117 ": "VC107", "VC118 ": "VC105"}
"""The places were labelled before some rules had their ids."""


class Case(NamedTuple):
    """A labelled place."""

    repository: str
    commit: str
    path: str
    first_line: int
    last_line: int
    rule: str
    ids: frozenset[str]
    """The rules that may report the place."""
    is_fault: bool
    """Whether the place has a fault. If not, the rules must report nothing there."""
    why: str


class Score(NamedTuple):
    """How the linter did on some labelled places."""

    found: int
    faults: int
    quiet: int
    """Right places without a finding."""
    right: int
    wrong: tuple[Case, ...]
    """Faults that were missed, and right places with a finding."""


def cases() -> tuple[Case, ...]:
    """Return the labelled places of both files; none if they are missing."""
    lines = (line for path in CASES if path.is_file() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(_case(json.loads(line)) for line in lines)


def _case(row: dict[str, Any]) -> Case:
    proposed = row.get("proposed_rule") or ""
    ids = {row["rule"], *(id_ for start, id_ in _IDS_OF_PROPOSED_RULES.items() if proposed.startswith(start))}
    first, last = row["lines"]
    is_fault = row["expect"] == "finding"
    return Case(row["repo"], row["commit"], row["path"], first, last, row["rule"], frozenset(ids), is_fault, row["why"])


def git_directory(repository: str) -> Path | None:
    """Return the git directory of a repository; ``None``: it is not below ``VC2DOCTOR_REPOSITORIES``."""
    root = os.environ.get("VC2DOCTOR_REPOSITORIES")
    if not root:
        return None
    candidates = (
        Path(root, repository.replace("/", "+"), "repo"),
        Path(root, repository, ".git"),
        Path(root, repository),
    )
    return next((path for path in candidates if (path / "HEAD").exists()), None)


def write_tree(git: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit that the linter can read. Files that a partial clone lacks are left out."""
    listing = _git(git, "ls-tree", "-r", "-z", "-l", commit).split(b"\0")
    blobs = list(_readable_blobs(listing))
    contents = _git(git, "cat-file", "--batch", stdin=b"\n".join(blob for blob, _ in blobs) + b"\n")
    # A header ("<id> blob <size>" or "<id> missing"), then the content of that size and a line end.
    offset = 0
    for _, path in blobs:
        end = contents.index(b"\n", offset)
        header, offset = contents[offset:end].split(), end + 1
        if header[-1] != b"missing":
            size = int(header[2])
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[offset : offset + size])
            offset += size + 1


def _readable_blobs(listing: list[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield the id and the path of each file that the linter can read; symbolic links are left out."""
    for line in filter(None, listing):
        entry, _, encoded_path = line.partition(b"\t")
        mode, _, blob, size = entry.split()
        path = encoded_path.decode()
        if mode != b"120000" and size.isdigit() and int(size) <= MAX_FILE_BYTES and path.endswith(_ENDINGS):
            yield blob, path


def _git(git: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    command = ["git", f"--git-dir={git}", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def findings(git: Path, commit: str, folder: Path) -> tuple[CodeFinding, ...]:
    """Write a commit to an empty folder, and return what the linter finds in it."""
    write_tree(git, commit, folder)
    return apply_rules(LintTask(paths=(folder,))).findings


def is_judged_correctly(case: Case, found: tuple[CodeFinding, ...]) -> bool:
    """Return whether the linter reports a fault, or reports nothing at a right place."""
    is_reported = any(
        finding.id in case.ids
        and place.path == case.path
        and place.line <= case.last_line
        and place.end_line >= case.first_line
        for finding in found
        for place in finding.places
    )
    return is_reported is case.is_fault


def score(cases_: tuple[Case, ...], correct: dict[Case, bool]) -> Score:
    """Return how the linter did on some places; ``correct`` tells for each whether it was judged correctly."""
    counts = Counter((case.is_fault, correct[case]) for case in cases_)
    return Score(
        found=counts[True, True],
        faults=counts[True, True] + counts[True, False],
        quiet=counts[False, True],
        right=counts[False, True] + counts[False, False],
        wrong=tuple(case for case in cases_ if not correct[case]),
    )
