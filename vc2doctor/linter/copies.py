"""Makes one finding of the same fault in copies of one file: ``models/7B/modeling.py``, ``models/12B/modeling.py``."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.model import CodeFinding

MIN_COPIES = 3
"""Two files of one name can have a line alike by chance; with more of them the file was copied."""

_Key = tuple[str, str, str, str, int]


def with_copies_as_one(code: CodeFacts, findings: Iterable[CodeFinding]) -> tuple[CodeFinding, ...]:
    """Return the findings; those about the same line of files with one name in one unit are one with further places."""
    groups: dict[_Key, list[CodeFinding]] = defaultdict(list)
    for finding in findings:
        groups[_key(code, finding)].append(finding)
    merged: list[CodeFinding] = []
    for group in groups.values():
        different_files = {finding.file for finding in group}
        is_many = len(group) >= MIN_COPIES or _are_the_same(code, different_files)
        is_copied = is_many and 1 < len(group) == len(different_files)
        merged.extend([_merged(group)] if is_copied else group)
    return tuple(merged)


def _are_the_same(code: CodeFacts, paths: Collection[str]) -> bool:
    """Return whether files have the same text, as far as they are Python."""
    modules = [code.files.modules.get(path) for path in paths]
    return all(modules) and len({module.source.text for module in modules if module is not None}) == 1


def _key(code: CodeFacts, finding: CodeFinding) -> _Key:
    name = finding.file.rpartition("/")[2]
    return (
        code.folder_of(finding.file),
        name,
        finding.id,
        f"{finding.severity.value} {finding.message}",
        finding.line or 0,
    )


def _merged(group: list[CodeFinding]) -> CodeFinding:
    first, *others = group
    return first.model_copy(
        update={
            "also": (*first.also, *(place for other in others for place in other.places)),
            "bf16_edits": tuple(edit for finding in group for edit in finding.bf16_edits),
            "safe_edits": tuple(edit for finding in group for edit in finding.safe_edits),
            "unsafe_edits": tuple(edit for finding in group for edit in finding.unsafe_edits),
        }
    )
