"""Look for smaller remedies than the doctor's by trying every change of one or two packages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.facts import SHIPPED
from vc2doctor.core.versions import STACK_PACKAGES, holds
from vc2doctor.matrix.judge import Combination
from vc2doctor.remedies.question import Goal, Question


def smaller_changes(versions: Mapping[str, str], changed: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the changes of one or two packages that solve the set and are smaller than ``changed``: brute force.

    Smaller: fewer packages; then fewer of the stack; then fewer warnings; then fewer releases moved. torch and Python
    stay.
    """
    named = {name: text for name, text in versions.items() if name in SHIPPED.wheels.releases}
    combination = Combination(python="3.11", versions=named)
    question = Question(combination=combination, matrix=SHIPPED, goal=Goal(recipe="bf16"))
    declared = tuple(entry for name, text in named.items() for entry in question.requires_of(name, text))
    question = question.model_copy(update={"requires": declared})
    if question.is_solved_by({}):
        # The matrix knows no conflict: an exception alone asked for the change.
        return []
    space = _Space(question)
    limit = space.size(changed)
    packages = [name for name in named if name != "torch"]
    # Every change of two packages is larger than any change of one.
    counts = range(1, min(len(changed), _MAX_PACKAGES) + 1)
    groups = [group for count in counts for group in itertools.combinations(packages, count)]
    candidates = (changes for group in groups for changes in space.smaller(group, limit))
    return list(itertools.islice((changes for changes in candidates if question.is_solved_by(changes)), MAX_FOUND))


_Size = tuple[int, int, int, int]
"""Packages that are changed, those of the stack, warnings that remain, and releases moved."""
_MAX_PACKAGES = 2
MAX_FOUND = 3
"""Smaller changes that are reported: one shows that the doctor's is not the smallest."""
_UNKNOWN = 1000
"""Counts as the moves to a release that the index does not list."""


class _Space:
    """The releases that a package may change to, and how large a change is."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.moves = {name: dict(_moves(question, name)) for name in question.combination.versions}

    def size(self, changes: Mapping[str, str]) -> _Size:
        """Return how large a change is."""
        versions = {**self._question.combination.named, **changes}
        warnings = sum(holds(when, versions) for when in self._question.warned_regions)
        return len(changes), _of_stack(changes), warnings, self._moved(changes)

    def smaller(self, group: Sequence[str], limit: _Size) -> Iterator[dict[str, str]]:
        """Yield the changes of these packages that are smaller than ``limit``."""
        if (len(group), _of_stack(group)) > limit[:2]:
            return
        for texts in itertools.product(*(self.moves[name] for name in group)):
            changes = dict(zip(group, texts, strict=True))
            may_be_smaller = limit[2] or _of_stack(group) < limit[1] or self._moved(changes) < limit[3]
            if (len(group) < limit[0] or may_be_smaller) and self.size(changes) < limit:
                yield changes

    def _moved(self, changes: Mapping[str, str]) -> int:
        return sum(self.moves.get(name, {}).get(text, _UNKNOWN) for name, text in changes.items())


def _of_stack(names: Iterable[str]) -> int:
    return sum(name in STACK_PACKAGES for name in names)


def _moves(question: Question, name: str) -> Iterator[tuple[str, int]]:
    """Yield each other release of a package, with the number of releases between it and the installed one."""
    releases = list(question.releases(name))
    current = question.combination.versions[name]
    position = releases.index(current) if current in releases else -1
    for index, text in enumerate(releases):
        if not question.is_installed(name, text):
            yield text, abs(index - position)
