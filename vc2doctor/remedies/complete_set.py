"""What to install where packages of the stack are missing: the versions of the project, or else a measured set."""

from collections.abc import Iterator, Mapping

from vc2doctor.core.versions import STACK_PACKAGES, contains, exact
from vc2doctor.matrix.compiled import MeasuredCell
from vc2doctor.matrix.judge import Verdict
from vc2doctor.matrix.measured_sets import preference, requirements_met, versions_of
from vc2doctor.remedies.question import Question
from vc2doctor.remedies.smallest import MAX_CELLS, Remedy, remedy_of, smallest_remedies, stack_changes


def complete_sets(question: Question) -> tuple[Remedy, ...]:
    """Return what to install so that nothing of the stack is missing, the best answer first; empty: none is known.

    The versions that the project pins come first, if they are verified or compatible. Then come sets that meet what it
    asks for, and then all others. Of these, a measured set comes before one that is only inferred.
    """
    asked = {name: text for name, text in question.goal.asked.items() if name in question.missing}
    pinned = _pinned(question, asked)
    if pinned is not None:
        return (pinned,)
    for each in (_meeting(question, asked), question) if asked else (question,):
        measured = _measured(each)
        remedies = (measured,) if measured is not None else smallest_remedies(each)
        if remedies:
            return remedies
    return ()


def _meeting(question: Question, asked: Mapping[str, str]) -> Question:
    """Return the question whose answers also meet what the project asks for."""
    wanted = dict(question.goal.wanted)
    for name, text in asked.items():
        wanted[name] = ",".join(filter(None, (wanted.get(name), text)))
    return question.model_copy(update={"goal": question.goal.model_copy(update={"wanted": wanted})})


def _pinned(question: Question, asked: Mapping[str, str]) -> Remedy | None:
    """Return the installation of what the project pins; ``None``: it pins not all, or this is not known to train."""
    changes = {name: text for name in question.missing if (text := exact(asked.get(name, ""))) is not None}
    is_complete = len(changes) == len(question.missing)
    if not is_complete or not all(question.is_installable(name, text) for name, text in changes.items()):
        return None
    stack = {**question.combination.versions, **changes}
    cells = [cell for cell in _trained_cells(question) if _is_of_stack(question, cell, stack)]
    best = max(cells, key=lambda cell: preference(cell, question.matrix), default=None)
    beside = versions_of(best, question.matrix) if best is not None else {}
    return _remedy(_installed(question, changes, beside), changes)


def _trained_cells(question: Question) -> Iterator[MeasuredCell]:
    verdicts = question.matrix.verdicts
    return (cell for cell in verdicts.cells if question.goal.recipe in verdicts.outcomes[cell.how].trains)


def _is_of_stack(question: Question, cell: MeasuredCell, stack: Mapping[str, str]) -> bool:
    versions = versions_of(cell, question.matrix)
    return all(contains(f"=={versions[name]}", stack[name]) for name in STACK_PACKAGES)


def _measured(question: Question) -> Remedy | None:
    """Return the best measured set that keeps what is installed of the stack; ``None``: there is none."""
    ranked = sorted(_candidates(question), key=lambda entry: entry[0], reverse=True)
    for _, cell, changes in ranked[:MAX_CELLS]:
        after = _installed(question, changes, versions_of(cell, question.matrix))
        if after.judged(changes).verdict is Verdict.VERIFIED:
            remedy = _remedy(after, changes)
            if remedy is not None:
                return remedy
    return None


def _candidates(question: Question) -> Iterator[tuple[tuple[object, ...], MeasuredCell, dict[str, str]]]:
    """Yield what decides the order, each measured cell that meets what is wanted, and the changes that lead to it."""
    missing, wanted = set(question.missing), question.goal.wanted
    for cell, changes in stack_changes(question):
        versions = versions_of(cell, question.matrix)
        if changes.keys() <= missing and requirements_met(versions, wanted) == len(wanted):
            is_same_python = cell.python == question.combination.python
            yield (is_same_python, *preference(cell, question.matrix)), cell, changes


def _remedy(question: Question, changes: Mapping[str, str]) -> Remedy | None:
    return remedy_of(question, changes) if question.is_solved_by(changes) else None


def _installed(question: Question, changes: Mapping[str, str], beside: Mapping[str, str]) -> Question:
    """Return the question with what the installer brings by itself when it installs ``changes``.

    It adds what the new packages require, and changes what they do not agree with, in versions that all packages allow.
    ``beside`` are the versions of the measured cell, which count if they are allowed.
    """
    declared = question.requires_after(changes)
    brought: dict[str, str] = {}
    for name in dict.fromkeys(entry.dependency for entry in declared if entry.package in changes):
        wanted = ",".join(entry.specifier for entry in declared if entry.dependency == name and entry.specifier)
        present = question.combination.versions.get(name)
        if name in STACK_PACKAGES or (present is not None and contains(wanted, present)):
            continue
        releases = [*([beside[name]] if name in beside else []), *reversed(question.releases(name))]
        allowed = next((text for text in releases if contains(wanted, text)), None)
        if allowed is not None:
            brought[name] = allowed
    return question.model_copy(update={"combination": question.combination.after(brought)})
