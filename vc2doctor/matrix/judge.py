"""The verdict on a combination, and its ground: pure functions over what is known."""

import itertools
from collections.abc import Iterable, Mapping
from enum import Enum

from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, holds, side_of, version
from vc2doctor.matrix.compiled import Constraint, MeasuredCell, Segment, Verdicts
from vc2doctor.matrix.matrix import Matrix

_SHORT = 160
"""Letters of a failure beside a neighbour."""


class Verdict(str, Enum):
    """On a combination; the words of the design."""

    VERIFIED = "verified"
    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNVERIFIED = "unverified"


class Combination(Data):
    """Versions that are installed together, or are to be."""

    python: str | None
    """Minor version, ``3.11``; ``None``: not named."""
    versions: dict[str, str]
    """By canonical name: the stack and what it leans on, at least."""
    installed: bool = True
    """Whether all of it stands in an environment: then what is not named is not there, and no resolver has a say."""

    @property
    def named(self) -> dict[str, str]:
        """``versions``, and Python among them."""
        return self.versions if self.python is None else {**self.versions, "python": self.python}

    def version(self, name: str) -> Version:
        """Return the version of ``name``.

        Raises:
            KeyError: it is not part of the combination.
        """
        return Version(self.versions[name])


class Judgement(Data):
    """A verdict and its ground."""

    verdict: Verdict
    reason: str
    issues: tuple[str, ...] = ()
    """Identifiers of the known issues that decide."""
    constraints: tuple[str, ...] = ()
    """Identifiers of the constraints that decide."""
    conditions: tuple[str, ...] = ()
    """Known issues of these versions that strike only where training does what no version shows."""
    uncertainty: str = ""
    """Where it is unverified: what one measurement would settle for all combinations with the same text."""


def judge(combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    """Return the verdict on training ``combination`` under ``recipe``.

    A measurement of exactly this combination decides first, then known issues and constraints, then what was measured
    around it.
    """
    named = combination.named
    known = [issue for issue in matrix.issues if issue.blocks(recipe) and issue.applies_to(named)]
    ids = tuple(issue.id for issue in known)
    exact = _exact(combination, matrix.verdicts, recipe)
    if exact is not None and exact.verdict is Verdict.INCOMPATIBLE:
        return exact.model_copy(update={"issues": ids})
    deciding = matrix.verdicts.deciding(recipe, installed=combination.installed)
    felled = [one for one in deciding if holds(one.when, named)]
    unseen = [issue for issue in known if not issue.probe_sees]
    if unseen or (exact is None and (known or felled)):
        reason = "; ".join([*(issue.title for issue in known), *map(describe, felled)][:2])
        return Judgement(
            verdict=Verdict.INCOMPATIBLE, reason=reason, issues=ids, constraints=tuple(one.id for one in felled)
        )
    found = exact or _inferred(combination, matrix.verdicts, recipe)
    conditions = tuple(_conditions(named, matrix, recipe))
    return found.model_copy(update={"conditions": conditions}) if conditions else found


def describe(constraint: Constraint) -> str:
    """Return a constraint in words, with what it was measured at."""
    parts = [constraint.reason]
    if constraint.failed:
        parts.append(f"measured to fail at {' and at '.join(constraint.failed)}")
    if constraint.works:
        parts.append(f"to work at {' and at '.join(constraint.works)}")
    return "; ".join(parts)


def _exact(combination: Combination, verdicts: Verdicts, recipe: str) -> Judgement | None:
    agreeing = [cell for cell in reversed(_same_stack(combination, verdicts)) if _agrees(combination, cell, verdicts)]
    for cell in agreeing:
        if recipe in verdicts.outcomes[cell.how].trains:
            return Judgement(verdict=Verdict.VERIFIED, reason=f"{_told(cell)}: it trains under {recipe}")
    for cell in agreeing:
        failure = verdicts.outcomes[cell.how].fails.get(recipe)
        # What cannot be installed for one Python may be for another.
        if failure and (combination.python is not None or verdicts.companions[cell.companions]):
            return Judgement(verdict=Verdict.INCOMPATIBLE, reason=f"{_told(cell)}: {failure}")
    return None


def _agrees(combination: Combination, cell: MeasuredCell, verdicts: Verdicts) -> bool:
    """Return whether a cell of the same stack is the combination, as far as that is named."""
    there = verdicts.companions[cell.companions]
    named = combination.named
    if combination.installed and not there:
        return False
    return all(
        named[name] == text if name in named else not combination.installed
        for name, text in {**there, "python": cell.python}.items()
    )


def _same_stack(combination: Combination, verdicts: Verdicts) -> list[MeasuredCell]:
    if not all(axis in combination.versions for axis in STACK_PACKAGES):
        return []
    return verdicts.by_stack.get(tuple(version(combination.versions[axis]) for axis in STACK_PACKAGES), [])


def _inferred(combination: Combination, verdicts: Verdicts, recipe: str) -> Judgement:
    missing = [axis for axis in STACK_PACKAGES if axis not in combination.versions]
    if missing:
        reason = f"no version of {' and '.join(missing)} was named"
        return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty="unnamed")
    for cell in reversed(_same_stack(combination, verdicts)):
        if recipe in verdicts.outcomes[cell.how].trains:
            different = _differences(combination, cell, verdicts)
            reason = f"{_told(cell)}: it trains under {recipe}; here differ only {', '.join(different)}"
            return Judgement(verdict=Verdict.COMPATIBLE, reason=reason)
    for uncertainty in (_pre_release, _outside, _beside):
        found = uncertainty(combination, verdicts, recipe)
        if found:
            return Judgement(verdict=Verdict.UNVERIFIED, reason=found[0], uncertainty=found[1])
    return _by_pairs(combination, verdicts, recipe)


def _differences(combination: Combination, cell: MeasuredCell, verdicts: Verdicts) -> list[str]:
    there = {"python": cell.python, **verdicts.companions[cell.companions]}
    named = combination.named
    found = [
        f"{name} {named.get(name, 'absent')} (measured: {text})"
        for name, text in there.items()
        if (name in named or combination.installed) and named.get(name) != text
    ]
    return [text.replace("python ", "Python ", 1) for text in found] or ["what was not named"]


_Doubt = tuple[str, str]
"""A ground, and what is the same for all that one measurement would settle."""


def _pre_release(combination: Combination, _: Verdicts, __: str) -> _Doubt | None:
    early = [axis for axis in STACK_PACKAGES if version(combination.versions[axis]).is_prerelease]
    if early:
        text = f"{early[0]} {combination.versions[early[0]]} is a pre-release, and nothing is inferred about those"
        return text, "pre-release"
    return None


def _outside(combination: Combination, verdicts: Verdicts, _: str) -> _Doubt | None:
    for axis in STACK_PACKAGES:
        pair = f"{next(other for other in STACK_PACKAGES if other != axis)} {axis}"
        found = verdicts.segments.get(pair, ())
        text = combination.versions[axis]
        if not found:
            return "nothing was measured", "nothing"
        side = side_of(version(text), version(found[0].first), version(found[-1].last))
        if side:
            reason = f"{axis} {text} is {side} than what was measured, {found[0].first} to {found[-1].last}"
            return reason, f"{axis} {side}"
    return None


def _beside(combination: Combination, verdicts: Verdicts, recipe: str) -> _Doubt | None:
    for one in verdicts.deciding(recipe, installed=combination.installed):
        if one.is_uncertain(combination.named):
            return f"it lies between what fails and what works: {describe(one)}", f"beside {one.id}"
    return None


def _by_pairs(combination: Combination, verdicts: Verdicts, recipe: str) -> Judgement:
    alike = []
    for one, other in itertools.permutations(STACK_PACKAGES, 2):
        pair, here = f"{one} {other}", combination.versions[one]
        index = verdicts.segment(pair, combination.versions[other]) or 0
        span, segment = verdicts.spans[recipe][pair][index], _told_range(other, verdicts.segments[pair][index])
        if span is None:
            reason = f"no {segment} was measured to train under {recipe}"
            return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty=f"{other} {index}, {one}")
        side = side_of(version(here), version(span.first), version(span.last))
        if side:
            reason = (
                f"{one} {here} is {side} than what was measured to train under {recipe} with {segment}: "
                f"{span.first} to {span.last}"
            )
            uncertainty = f"{one} {side}, {other} {index}"
            return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty=uncertainty)
        alike.append(f"{segment} with {_told_range(one, span)}")
    reason = (
        f"each two of them lie between releases that were measured to train together under {recipe}, "
        f"and nothing is known that parts them ({'; '.join(alike)})"
    )
    return Judgement(verdict=Verdict.COMPATIBLE, reason=reason)


def _told_range(axis: str, found: Segment) -> str:
    return f"{axis} {found.first}" if found.first == found.last else f"{axis} {found.first} to {found.last}"


def _conditions(named: Mapping[str, str], matrix: Matrix, recipe: str) -> Iterable[str]:
    for issue in matrix.issues:
        if issue.severity == "warning" and issue.concerns(recipe) and issue.applies_to(named):
            yield f"{issue.title}: {issue.explanation}"


class PossibleConflict(Data):
    """What would decide against a combination, were it there."""

    missing: dict[str, str]
    """Specifiers (or ``absent``) of packages that the combination does not name."""
    reason: str

    @property
    def where(self) -> str:
        """In words: ``with accelerate <0.21``."""
        return " and ".join(
            f"without {name}" if wanted == ABSENT else f"with {name} {wanted or '(any)'}"
            for name, wanted in self.missing.items()
        )


def possible_conflicts(combination: Combination, matrix: Matrix, recipe: str) -> tuple[PossibleConflict, ...]:
    """Return what would decide against a combination, of packages that it does not name."""
    if combination.installed:
        return ()
    issues = [
        (issue.title, alternative) for issue in matrix.issues if issue.concerns(recipe) for alternative in issue.when
    ]
    constraints = [(describe(one), one.when) for one in matrix.verdicts.constraints if one.affects(recipe)]
    return tuple(_undecided(combination.named, [*issues, *constraints]))


def _undecided(
    named: Mapping[str, str], reasons: Iterable[tuple[str, Mapping[str, str]]]
) -> Iterable[PossibleConflict]:
    for reason, when in reasons:
        missing = {name: wanted for name, wanted in when.items() if name not in named}
        rest = {name: wanted for name, wanted in when.items() if name in named}
        if missing and rest and holds(rest, named):
            yield PossibleConflict(missing=missing, reason=reason)


def nearest_cells(combination: Combination, verdicts: Verdicts, recipe: str, most: int = 3) -> list[str]:
    """Return the nearest measured cells in words, the nearest first: by releases between, torch counting most."""
    if not all(axis in combination.versions for axis in STACK_PACKAGES):
        return []
    here = [verdicts.position(axis, combination.versions[axis]) for axis in STACK_PACKAGES]

    def distance(cell: MeasuredCell) -> tuple[int, bool]:
        there = [verdicts.position(axis, getattr(cell, axis)) for axis in STACK_PACKAGES]
        apart = [abs(one - other) for one, other in zip(here, there, strict=True)]
        return 4 * apart[0] + apart[1] + 2 * apart[2], cell.python != combination.python

    judged = [cell for cell in verdicts.cells if _ended(cell, verdicts, recipe)]
    near = sorted(judged, key=distance)[: most * most]
    # One stack may have been measured under several versions of what it leans on.
    return list(dict.fromkeys(f"{_stack(cell)}: {_ended(cell, verdicts, recipe)}" for cell in near))[:most]


def _ended(cell: MeasuredCell, verdicts: Verdicts, recipe: str) -> str:
    how = verdicts.outcomes[cell.how]
    return f"trains under {recipe}" if recipe in how.trains else " ".join(how.fails.get(recipe, "").split())[:_SHORT]


def _stack(cell: MeasuredCell) -> str:
    return f"Python {cell.python}, torch {cell.torch}, transformers {cell.transformers}, peft {cell.peft}"


def _told(cell: MeasuredCell) -> str:
    where = "" if cell.device == "none" else f" on {cell.device}"
    return f"measured on {cell.date}{where} (cell {cell.name})"
