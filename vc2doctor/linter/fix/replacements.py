"""The safe fix of each single finding as text: what it takes out of a file, and what it puts there."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path

from vc2doctor.linter.fix.edited import EditedTexts, by_file
from vc2doctor.linter.model import CodeFinding, FixError, Replacement

MAX_FINDINGS = 200
"""Findings whose fix is shown. LibCST parses a file for each, which takes up to a second for a long file."""


def with_replacements(findings: Iterable[CodeFinding], root: Path) -> tuple[CodeFinding, ...]:
    """Return findings with the replacements that their safe edits make, each as if it were the only one.

    A finding whose edits cannot be applied gets none.
    """
    left = MAX_FINDINGS
    changed = []
    for finding in findings:
        if finding.safe_edits and left:
            left -= 1
            changed.append(finding.model_copy(update={"replacements": _replacements(finding, root)}))
        else:
            changed.append(finding)
    return tuple(changed)


def _replacements(finding: CodeFinding, root: Path) -> tuple[Replacement, ...]:
    edited = EditedTexts(root)
    # As in `lint --fix`, notebooks are left out: their lines are not those of the file.
    files = by_file(edit for edit in finding.safe_edits if not edit.path.endswith(".ipynb"))
    try:
        for name, edits in files.items():
            edited.apply(name, edits)
    except (FixError, RecursionError, MemoryError):
        # The finding itself stands; a file that is nested too deeply only gets no fix.
        return ()
    return tuple(
        replacement
        for name, after in sorted(edited.changed().items())
        for replacement in between(name, edited.original(name), after)
    )


def between(path: str, before: str, after: str) -> Iterator[Replacement]:
    """Yield the replacements of whole lines that turn one text into another, from the first to the last."""
    old, new = before.split("\n"), after.split("\n")
    for kind, first, end, new_first, new_end in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield _of_lines(path, old, (first, end), new[new_first:new_end])


def _of_lines(path: str, old: list[str], lines: tuple[int, int], new: list[str]) -> Replacement:
    """Return the replacement of the lines from ``lines[0]`` up to, not including, ``lines[1]``; both count from 0."""
    first, end = lines
    if end < len(old):
        return Replacement(
            path=path,
            line=first + 1,
            column=1,
            end_line=end + 1,
            end_column=1,
            text="".join(f"{line}\n" for line in new),
        )
    # Behind the last line there is no line end to take out, so the one before the first line is taken.
    start = (first, len(old[first - 1]) + 1) if first else (1, 1)
    text = "".join(f"\n{line}" for line in new)
    return Replacement(
        path=path,
        line=start[0],
        column=start[1],
        end_line=len(old),
        end_column=len(old[-1]) + 1,
        text=text if first else text[1:],
    )
