"""Fixes a project in one transaction: edit in memory, lint again, check what remains, and only then write.

A change of the precision is made program by program, and an independent check of what remains can refuse it. The other
fixes are those that the findings carry.
"""

from collections.abc import Iterable
from pathlib import Path

from vc2doctor.linter.fix import git
from vc2doctor.linter.fix.edited import EditedTexts, by_file
from vc2doctor.linter.fix.switch import Switch
from vc2doctor.linter.model import FixError, FixResult
from vc2doctor.linter.run import LintResult, LintTask, apply_rules

MAX_ROUNDS = 3
"""How often the project is edited and linted again. An edit can uncover places that only the next round can fix."""
_OF_GIT = "its real path lies in a .git folder, whose files belong to git."
_OUTSIDE = "its real path lies outside of the paths that you named. Name the folder that holds it."
_DIRTY = "it is not as the last commit has it, so git could not restore it. Commit it, or pass --allow-dirty."
_NO_UNDO = "This is no git repository, so only a copy of the files can undo the change."
_NO_UNDO_OF_SOME = "Some files are in no git repository, so only a copy of the files can undo the change."
_DIRTY_UNDO = "A changed file had uncommitted changes, which git cannot restore. Only a copy of the files can undo it."


def fix(
    task: LintTask, result: LintResult, *, unsafe: bool, write: bool, allow_dirty: bool = False
) -> tuple[FixResult, LintResult]:
    """Fix the findings of ``result``, and return what changed with the findings that remain.

    With a precision in ``task``, only the switch to it is made. Files are written only if ``write`` is true.

    Raises:
        FixError: a file cannot be read, or its new text does not fit its encoding; nothing was written.
        OutputError: a file cannot be written; nothing was.
    """
    root = result.facts.code.files.root
    repository = git.repository_of(root)
    if task.precision is not None:
        return _switch(task, result, repository, write=write, allow_dirty=allow_dirty)
    edited, after, refused = _single_fixes(task, result, unsafe=unsafe)
    blocked = _blocked(task, edited, check_git=write and not allow_dirty)
    refused += [f"{name}: {reason}" for name, reason in blocked.items()]
    written = write and not refused and bool(edited.changed())
    done = FixResult(
        written=written,
        files=edited.file_changes(_prefix(root, repository)),
        refused=tuple(dict.fromkeys(refused)),
        cautions=(),
        undo=_write(edited, may_be_dirty=allow_dirty) if written else None,
    )
    return done, result if refused else after


def _single_fixes(task: LintTask, result: LintResult, *, unsafe: bool) -> tuple[EditedTexts, LintResult, list[str]]:
    """Apply the edits of single findings. Notebooks are left out."""
    edited, after, refused = EditedTexts(result.facts.code.files.root), result, list[str]()
    for _ in range(MAX_ROUNDS):
        edits = by_file(
            edit
            for finding in after.findings
            for edit in (*finding.safe_edits, *(finding.unsafe_edits if unsafe else ()))
            if not edit.path.endswith(".ipynb")
        )
        if not edits or refused:
            break
        refused += [error for name, each in edits.items() if (error := edited.try_to_apply(name, each)) is not None]
        after = apply_rules(task, edited.texts)
    return edited, after, refused


def _switch(
    task: LintTask, result: LintResult, repository: Path | None, *, write: bool, allow_dirty: bool
) -> tuple[FixResult, LintResult]:
    switch = Switch(task, result)
    switch.run()
    for name, reason in _blocked(task, switch.edited, check_git=write and not allow_dirty).items():
        switch.refuse([name], reason)
    programs = switch.outcomes()
    written = write and bool(switch.edited.changed())
    done = FixResult(
        written=written,
        files=switch.edited.file_changes(_prefix(result.facts.code.files.root, repository)),
        refused=tuple(dict.fromkeys(reason for program in programs for reason in program.reasons)),
        cautions=tuple(switch.cautions()),
        programs=programs,
        undo=_write(switch.edited, may_be_dirty=allow_dirty) if written else None,
    )
    return done, switch.after


def _write(edited: EditedTexts, *, may_be_dirty: bool) -> str:
    """Write the files, and return how to undo that."""
    undo = _undo([edited.root / name for name in edited.changed()], may_be_dirty=may_be_dirty)
    edited.write()
    return undo


def _undo(paths: list[Path], *, may_be_dirty: bool) -> str:
    """Return the command that restores files, or a sentence that says why git cannot."""
    groups = git.by_repository(paths)
    if None in groups:
        return _NO_UNDO if len(groups) == 1 else _NO_UNDO_OF_SOME
    if may_be_dirty and not _is_restorable(paths):
        return _DIRTY_UNDO
    return " && ".join(git.undo_command(repository, below) for repository, below in groups.items() if repository)


def _is_restorable(paths: Iterable[Path]) -> bool:
    try:
        return not git.uncommitted(paths)
    except FixError:
        return False


def _blocked(task: LintTask, edited: EditedTexts, *, check_git: bool) -> dict[str, str]:
    """Return the changed files that may not be written, with the reason.

    Raises:
        FixError: git cannot say which files have uncommitted changes.
    """
    paths = {name: (edited.root / name).resolve() for name in edited.changed()}
    blocked = {name: _OUTSIDE for name, path in paths.items() if not _is_below(path, task.paths)}
    blocked |= {name: _OF_GIT for name, path in paths.items() if ".git" in path.parts}
    if check_git and paths:
        dirty = set(git.uncommitted(paths.values()))
        blocked |= {name: _DIRTY for name, path in paths.items() if name not in blocked and path in dirty}
    return blocked


def _is_below(path: Path, tops: Iterable[Path]) -> bool:
    return any(path.is_relative_to(top.resolve()) for top in tops)


def _prefix(root: Path, repository: Path | None) -> str:
    """Return what leads from the root of the repository to the root of the names, so that ``git apply`` works there."""
    if repository is None or not root.is_relative_to(repository.resolve()):
        return ""
    relative = root.relative_to(repository.resolve()).as_posix()
    return "" if relative == "." else f"{relative}/"
