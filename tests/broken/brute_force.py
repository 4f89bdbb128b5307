"""Look for smaller remedies than the doctor's by trying every change of one or two packages."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from vc2doctor.core.versions import STACK_PACKAGES, holds
from vc2doctor.matrix import load
from vc2doctor.matrix.judge import Combination
from vc2doctor.remedies.question import Goal, Question

_MAX_MOVES = 60
"""Releases that a change of two packages may move to be looked at: no remedy moves so many."""


def smaller_changes(versions: Mapping[str, str], changed: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the changes of one or two packages that solve the set and are smaller than ``changed``: brute force.

    Smaller: fewer packages; then fewer of the stack; then fewer warnings; then fewer releases moved. torch and Python
    stay.
    """
    matrix = load.load(load.shipped())
    named = {name: text for name, text in versions.items() if name in matrix.wheels.releases}
    question = Question(combination=Combination(python="3.11", versions=named), matrix=matrix, goal=Goal(recipe="bf16"))
    declared = tuple(entry for name, text in named.items() for entry in question.requires_of(name, text))
    question = question.model_copy(update={"requires": declared})
    limit = _size(question, changed)
    packages = [name for name in named if name != "torch"]
    found = []
    for names in (*((name,) for name in packages), *itertools.combinations(packages, 2)):
        for texts in itertools.product(*(question.releases(name) for name in names)):
            changes = dict(zip(names, texts, strict=True))
            is_change = not any(question.is_installed(name, text) for name, text in changes.items())
            if is_change and _size(question, changes) < limit and question.is_solved_by(changes):
                found.append(changes)
    return found


def _size(question: Question, changes: Mapping[str, str]) -> tuple[int, int, int, int]:
    versions = {**question.combination.named, **changes}
    stack = sum(name in STACK_PACKAGES for name in changes)
    moves = sum(_moves(question, name, text) for name, text in changes.items())
    if len(changes) > 1 and moves > _MAX_MOVES:
        # Counted without looking at warnings, which are slow: no remedy of two packages moves so far.
        return len(changes), stack, 10, moves
    warnings = sum(holds(when, versions) for when in question.warned_regions)
    return len(changes), stack, warnings, moves


def _moves(question: Question, name: str, text: str) -> int:
    releases = list(question.releases(name))
    current = question.combination.versions[name]
    positions = [releases.index(each) if each in releases else -1 for each in (current, text)]
    return abs(positions[0] - positions[1])
