"""How the linter does on repositories that it had not seen: ``python -m tests.linter.unseen FILE_OF_LABELS``.

``VC2DOCTOR_REPOSITORIES`` names a folder of git directories, as for tests/linter/corpus.py. The method is in unseen.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from tests.linter import corpus
from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding

IDS_OF_KIND: dict[str, tuple[str, ...]] = {
    "half-weights": ("VC101", "VC104", "VC109"),
    "pure-half": ("VC101", "VC109"),
    "scaler-bf16": ("VC104", "VC106"),
    "no-scaler": ("VC102", "VC104"),
    "scaler-order": ("VC104", "VC105"),
    "flags": ("VC104", "VC105", "VC106"),
    "nested-region": ("VC102", "VC103"),
    "half-outside": ("VC101", "VC107"),
    "no-clipping": ("VC105",),
    "half-arithmetic": ("VC107", "VC110", "VC111"),
    "not-watched": ("VC112",),
    "emulated": ("VC115",),
    "float32-region": ("VC113",),
    "token-id": ("VC116",),
    "fp8": ("VC106",),
    "rollout": ("VC106",),
    "api": ("VC108", "VC117", "VC118", "VC119"),
}
"""The rules that may report a hazard of a kind."""
NEAR = 2
"""Lines that a finding may lie before or after the lines of a label."""


LabelSeverity = Literal["note", "warning", "error", "clean"]


class Label(NamedTuple):
    """A hazard, or a place that looks like one and is right."""

    repository: str
    commit: str
    path: str
    first_line: int
    last_line: int
    kind: str
    severity: LabelSeverity
    why: str


def labels(path: Path) -> Iterator[Label]:
    """Yield the hazards and the right places of a file of labels; its lines about programs are left out.

    Raises:
        KeyError: a label lacks a field, or its kind is none of unseen.md.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["type"] in ("hazard", "clean"):
            first, last = row["lines"][0], row["lines"][-1]
            assert row["kind"] in IDS_OF_KIND, row
            severity: LabelSeverity = row["severity"] if row["type"] == "hazard" else "clean"
            yield Label(row["repo"], row["commit"], row["path"], first, last, row["kind"], severity, row["why"])


def is_reported(label: Label, found: tuple[CodeFinding, ...]) -> bool:
    """Return whether a hazard is found; of a right place whether a finding above a note is there."""
    return any(
        finding.id in IDS_OF_KIND[label.kind]
        and (label.severity != "clean" or finding.severity is not Severity.NOTE)
        and place.path == label.path
        and place.line <= label.last_line + NEAR
        and place.end_line >= label.first_line - NEAR
        for finding in found
        for place in finding.places
    )


def in_cells(label: Label, notebook: str) -> Label:
    """Return the label of a notebook with the cell and the lines in it, as findings name them.

    Labels count the lines of the file; findings count the code cells and the lines of each.
    """
    lines = [_text_in(line) for line in notebook.splitlines()]
    places: dict[int, tuple[int, int]] = {}
    at = count = 0
    for cell in json.loads(notebook)["cells"]:
        count += cell["cell_type"] == "code"
        for number, source in enumerate(cell["source"], 1):
            at = next((index for index in range(at, len(lines)) if lines[index] == source), at)
            places[at + 1] = (count, number)
    found = [places[line] for line in range(label.first_line, label.last_line + 1) if line in places]
    if not found:
        return label
    (cell_number, first), last = found[0], found[-1][1]
    return label._replace(path=f"{label.path}#cell{cell_number}", first_line=first, last_line=max(first, last))


def _in_folder(label: Label, folder: Path) -> Label:
    is_notebook = label.path.endswith(".ipynb")
    return in_cells(label, (folder / label.path).read_text(encoding="utf-8")) if is_notebook else label


def _text_in(line: str) -> str | None:
    """Return the text that a line of a notebook holds as a whole, or ``None``."""
    try:
        text = json.loads(line.strip().removesuffix(","))
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def main(paths: list[str]) -> None:
    """Lint the repositories of some files of labels, and print each miss, each false alarm and the counts."""
    by_repository: dict[tuple[str, str], list[Label]] = {}
    for label in (label for path in paths for label in labels(Path(path))):
        by_repository.setdefault((label.repository, label.commit), []).append(label)
    counts: Counter[str] = Counter()
    for (repository, commit), group in by_repository.items():
        git = corpus.git_directory(repository)
        if git is None:
            print(f"{repository} is not at hand")  # noqa: T201 - the result
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = corpus.findings(git, commit, Path(folder))
            group = [_in_folder(label, Path(folder)) for label in group]  # noqa: PLW2901 - the same labels, by cell
        counts["findings above a note"] += sum(finding.severity is not Severity.NOTE for finding in found)
        for label in group:
            reported = is_reported(label, found)
            counts[f"{label.severity}: {'reported' if reported else 'not reported'}"] += 1
            if reported is (label.severity == "clean"):
                kind = "false" if reported else "missed"
                print(f"{kind} {label.severity} {label.kind} {repository}:{label.path}:{label.first_line} {label.why}")  # noqa: T201 - the result
    print(*(f"{name}: {count}" for name, count in sorted(counts.items())), sep="\n")  # noqa: T201 - the result


if __name__ == "__main__":
    main(sys.argv[1:])
