"""The remedies for versions that do not work: the smallest changes, or a measured set if no small change is known."""

from collections.abc import Collection, Iterator, Mapping

from packaging.version import Version

from vc2doctor.core.data import OwnData
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.compiled import MeasuredCell
from vc2doctor.remedies.question import Question
from vc2doctor.remedies.search import smallest_changes

MAX_REMEDIES = 2
"""Usually one remedy raises a package and the other lowers another; more would be a list to choose from."""
MAX_CELLS = 60
"""Measured sets that are looked at; the nearest come first, and each look takes a few milliseconds."""


class Remedy(OwnData):
    """The requirements that turn a combination into one that works."""

    requirements: tuple[str, ...]
    """Exact versions of the packages that have to change; the others are not listed."""
    reason: str
    """What is known about the versions after the change."""

    @property
    def changes(self) -> dict[str, str]:
        """The new versions by distribution."""
        return dict(requirement.split("==") for requirement in self.requirements)

    def without(self, packages: Collection[str]) -> "Remedy":
        """Return the remedy that leaves ``packages`` as they are."""
        changes = {name: text for name, text in self.changes.items() if name not in packages}
        return self.model_copy(update={"requirements": pins(changes)})


def smallest_remedies(question: Question, limit: int = MAX_REMEDIES) -> tuple[Remedy, ...]:
    """Return up to ``limit`` changes of versions that solve ``question``, the smallest first.

    Each leads to versions that the matrix calls verified or compatible, that meet every declared requirement, that have
    wheels for this Python, and that were not yanked. The result is empty if there is nothing to change, or if no change
    of up to three packages is known to help.
    """
    if question.is_solved_by({}):
        return ()
    return tuple(remedy_of(question, changes) for changes in smallest_changes(question, limit))


def nearest_measured(question: Question, suspects: frozenset[str] = frozenset()) -> Remedy | None:
    """Return the change to the nearest measured set that trains, and that changes one of ``suspects`` if there are any.

    Sets that keep torch come first, then those measured under the same Python, then those with the fewest changes,
    then the newest. ``None``: no measured set can be installed here.
    """
    ordered = sorted(stack_changes(question), key=lambda pair: _cost(question, *pair))
    for cell, stack in ordered[:MAX_CELLS]:
        changes = _completed(question, cell, stack, suspects)
        if changes is not None and (not suspects or not suspects.isdisjoint(changes)):
            reason = f"measured on {cell.date} on {cell.device} under Python {cell.python}, cell {cell.name}"
            return Remedy(requirements=pins(changes), reason=reason)
    return None


def remedy_of(question: Question, changes: Mapping[str, str]) -> Remedy:
    """Return a change as a remedy, with what the matrix says of the result."""
    judgement = question.judged(changes)
    statement, _, __ = judgement.reason.partition("; ")
    return Remedy(requirements=pins(changes), reason=f"{judgement.verdict.value}: {statement}")


def pins(changes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the changes as requirements, those of the stack first."""
    others = sorted(changes.keys() - set(STACK_PACKAGES))
    names = [*(name for name in STACK_PACKAGES if name in changes), *others]
    return tuple(f"{name}=={changes[name]}" for name in names)


def stack_changes(question: Question) -> Iterator[tuple[MeasuredCell, dict[str, str]]]:
    """Yield each measured cell that trains, with the changes of the stack that lead to it."""
    verdicts = question.matrix.verdicts
    for cell in verdicts.cells:
        if question.goal.recipe in verdicts.outcomes[cell.how].trains:
            pins = {name: Version(getattr(cell, name)).public for name in STACK_PACKAGES}
            changes = {name: text for name, text in pins.items() if not question.is_installed(name, text)}
            if all(question.is_installable(name, text) for name, text in changes.items()):
                yield cell, changes


def _completed(
    question: Question, cell: MeasuredCell, stack: Mapping[str, str], suspects: frozenset[str]
) -> dict[str, str] | None:
    """Return the changes of the stack and of the companions that conflict with it; ``None``: that is no answer.

    pip keeps the companions as they are. One of ``suspects``, and one that conflicts, takes the version of the cell.
    Each change may resolve or cause a further conflict.
    """
    companions = question.matrix.verdicts.companions[cell.companions]
    suspected = {name: companions[name] for name in suspects & companions.keys()}
    changes = {**stack, **{name: text for name, text in suspected.items() if not question.is_installed(name, text)}}
    while not question.is_solved_by(changes):
        conflicting = {name for conflict in question.after(changes).conflicts for name in conflict}
        replaceable = [
            name
            for name in sorted(conflicting & companions.keys() - changes.keys())
            if question.is_installable(name, companions[name])
        ]
        if not replaceable:
            return None
        changes[replaceable[0]] = companions[replaceable[0]]
    return changes or None


def _cost(
    question: Question, cell: MeasuredCell, changes: Mapping[str, str]
) -> tuple[bool, bool, int, list[int], list[int]]:
    """Return the sorting key of a cell; releases are negated, so that the newest comes first."""
    transformers, peft = ([-part for part in Version(text).release] for text in (cell.transformers, cell.peft))
    keeps_torch = "torch" not in changes or "torch" in question.missing
    return not keeps_torch, cell.python != question.combination.python, len(changes), transformers, peft
