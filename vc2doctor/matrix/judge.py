"""Judge a combination of versions: a verdict and its reason, by pure functions over the matrix.

A reason consists of statements that are joined by ``"; "``, so that a report can show each on a line of its own.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vc2doctor.core.versions import STACK_PACKAGES, holds, side_of, version
from vc2doctor.core.wording import enumerated
from vc2doctor.matrix.builds import build_mismatch
from vc2doctor.matrix.compiled import MeasuredCell, Segment, Verdicts
from vc2doctor.matrix.conflicts import PossibleConflict, possible_conflicts
from vc2doctor.matrix.doors import (
    MAX_REASONS,
    agrees,
    describe,
    had_by,
    is_beyond,
    judge_doors,
    same_stack,
    speaks_for,
    with_doors,
)
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.nearest import joined_cells
from vc2doctor.matrix.refused import refusals
from vc2doctor.matrix.verdict import Combination, DoorJudgement, Judgement, Verdict
from vc2doctor.target.shared.recipes import evidence_recipe

__all__ = [
    "Combination",
    "DoorJudgement",
    "Judgement",
    "PossibleConflict",
    "Verdict",
    "judge",
    "judge_loop",
    "nearest_cells",
    "possible_conflicts",
]

MAX_FAILURE_LENGTH = 160
"""Characters of a failure in the one-line description of a measured cell."""
DISTANCE_WEIGHTS = {"torch": 4, "transformers": 1, "peft": 2}
"""Weights of one release in the distance between two stacks. torch has the fewest releases (about 30, peft 40,
transformers 150), so one release of it stands for the most changes."""


def judge(combination: Combination, matrix: Matrix, recipe: str, doors: Sequence[str] = ()) -> Judgement:
    """Return the verdict on training ``combination`` under ``recipe``, in a plain loop and through ``doors``.

    The verdict is ``incompatible`` if the loop or one of ``doors`` is ruled out, and ``verified`` only if each of them
    was measured. The other doors are judged beside it (``Judgement.doors``). A recipe of which the evidence has no
    measurement is judged as the one that it is like.
    """
    recipe = evidence_recipe(recipe)
    judgement = _judged_loop(combination, matrix, recipe)
    if judgement.verdict is Verdict.INCOMPATIBLE:
        return judgement
    by_door = judge_doors(combination, matrix.verdicts, recipe, judgement.verdict, doors)
    wanted = [entry for entry in by_door if entry.door in doors]
    others = tuple(entry for entry in by_door if entry.door not in doors)
    return with_doors(judgement, wanted).model_copy(update={"doors": others})


def judge_loop(combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    """Return the verdict on training ``combination`` in a plain loop under ``recipe``."""
    return _judged_loop(combination, matrix, evidence_recipe(recipe))


def _judged_loop(combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    """Return the verdict on the plain loop.

    Builds that do not fit each other come first: they break every import. Then a measurement of exactly this
    combination decides. Known issues and constraints follow, and inference from neighboring measurements comes last.
    """
    named = combination.named
    mismatch = build_mismatch(combination, matrix.wheels)
    if mismatch is not None:
        return Judgement(verdict=Verdict.INCOMPATIBLE, reason=mismatch)
    types = combination.model_types
    issues = [issue for issue in matrix.issues if issue.blocks(recipe, types) and issue.applies_to(named)]
    measured, cell = _measured(combination, matrix.verdicts, recipe)
    if measured is not None and measured.verdict is Verdict.INCOMPATIBLE:
        return measured.model_copy(update={"issues": tuple(issue.id for issue in issues)})
    candidates = matrix.verdicts.constraints_for(recipe, installed=combination.installed)
    constraints = [constraint for constraint in candidates if holds(constraint.when, named)]
    had: frozenset[str] = frozenset()
    if cell is not None:
        # A cell that trains refutes what was only reported or inferred, except a defect that the probe cannot run into,
        # and what is about a package that the cell did not have.
        had = had_by(cell, matrix.verdicts)
        constraints = [constraint for constraint in constraints if is_beyond(constraint.when, had)]
        issues = [issue for issue in issues if not issue.probe_sees or is_beyond(issue.applying(named), had)]
    # An installed environment needs no installer, and a measured cell was installed.
    is_asked = not combination.installed and bool(combination.versions.keys() - had)
    refused = list(refusals(named, matrix.wheels)) if is_asked else []
    if issues or constraints or refused:
        reasons = [*(issue.title for issue in issues), *map(describe, constraints), *refused]
        return Judgement(
            verdict=Verdict.INCOMPATIBLE,
            reason="; ".join(reasons[:MAX_REASONS]),
            issues=tuple(issue.id for issue in issues),
            constraints=tuple(constraint.id for constraint in constraints),
        )
    judgement = measured or _with_neighbor(_inferred(combination, matrix.verdicts, recipe), combination, matrix, recipe)
    conditions = tuple(_conditions(combination, matrix, recipe))
    return judgement.model_copy(update={"conditions": conditions}) if conditions else judgement


def _measured(
    combination: Combination, verdicts: Verdicts, recipe: str
) -> tuple[Judgement | None, MeasuredCell | None]:
    """Return the verdict of the newest measurement of exactly this combination, and the cell if it trains.

    A cell that trains comes before one that does not.
    """
    cells = [cell for cell in reversed(same_stack(combination, verdicts)) if agrees(combination, cell, verdicts)]
    for cell in cells:
        if recipe in verdicts.outcomes[cell.how].trains:
            reason = f"{_measurement(cell)} and trains under {recipe}{_chosen_beside(combination, cell)}"
            return Judgement(verdict=Verdict.VERIFIED, reason=reason), cell
    for cell in cells:
        failure = verdicts.outcomes[cell.how].fails.get(recipe)
        # Without companions nothing was installed. Another Python may have the wheels, so Python must be named then.
        is_known = combination.python is not None or verdicts.companions[cell.companions]
        if failure and is_known and speaks_for(combination, cell):
            reason = f"{_measurement(cell)} and does not train under {recipe}: {failure}"
            return Judgement(verdict=Verdict.INCOMPATIBLE, reason=reason), None
    return None, None


def _chosen_beside(combination: Combination, cell: MeasuredCell) -> str:
    """Return which releases a cell was given that the user did not name: an installer may choose others."""
    pins = [word.split("==") for word in cell.name.split() if "==" in word]
    unnamed = [(name, text) for name, text in pins if name not in combination.named]
    if combination.installed or not unnamed:
        return ""
    versions = enumerated([f"{name} {text}" for name, text in unnamed])
    return f"; verified with {versions}, compatible with other releases of {enumerated([name for name, _ in unnamed])}"


def _inferred(combination: Combination, verdicts: Verdicts, recipe: str) -> Judgement:
    """Return the verdict on a combination that was not measured and that no issue or constraint rules out."""
    missing = [axis for axis in STACK_PACKAGES if axis not in combination.versions]
    if missing:
        reason = (
            f"No version of {enumerated(missing)} was named; a verdict needs torch, transformers and peft, "
            "and a name without a version stands for the newest release"
        )
        return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty="unnamed")
    python = _unmeasured_python(combination, verdicts)
    if python is not None:
        return Judgement(verdict=Verdict.UNVERIFIED, reason=python.reason, uncertainty=python.key)
    for cell in reversed(same_stack(combination, verdicts)):
        if recipe in verdicts.outcomes[cell.how].trains:
            reason = f"{_measurement(cell)} and trains under {recipe}; {_differences(combination, cell, verdicts)}"
            return Judgement(verdict=Verdict.COMPATIBLE, reason=reason)
    for find in (_pre_release, _outside_measured_releases, _near_a_failure):
        uncertainty = find(combination, verdicts, recipe)
        if uncertainty is not None:
            return Judgement(verdict=Verdict.UNVERIFIED, reason=uncertainty.reason, uncertainty=uncertainty.key)
    return _judged_by_pairs(_pairs(combination, verdicts, recipe), recipe)


def _differences(combination: Combination, cell: MeasuredCell, verdicts: Verdicts) -> str:
    """Return how a combination differs from a measured cell of the same stack."""
    named = combination.named
    differences = [
        f"{_package(name)} {named.get(name, 'absent')} (measured: {text})"
        for name, text in {"python": cell.python, **verdicts.companions[cell.companions]}.items()
        if (name in named or combination.installed) and named.get(name) != text
    ]
    if not differences:
        return "only packages that you did not name can differ"
    return f"only these versions differ: {', '.join(differences)}"


class _Uncertainty(NamedTuple):
    """Why nothing is inferred about a combination."""

    reason: str
    key: str
    """Equal for all combinations that one measurement would settle."""


def beyond(package: str, side: str) -> str:
    """Return the key of combinations whose ``package`` is ``older`` or ``newer`` (``side``) than measured."""
    return f"{package} {side}"


def _pre_release(combination: Combination, _: Verdicts, __: str) -> _Uncertainty | None:
    for axis in STACK_PACKAGES:
        text = combination.versions[axis]
        if version(text).is_prerelease:
            reason = f"{axis} {text} is a pre-release, and the matrix covers final releases only"
            return _Uncertainty(reason, "pre-release")
    return None


def _outside_measured_releases(combination: Combination, verdicts: Verdicts, _: str) -> _Uncertainty | None:
    for axis in STACK_PACKAGES:
        text, (first, last) = combination.versions[axis], verdicts.measured_range(axis)
        if not first:
            return _Uncertainty("The matrix holds no measurement", "nothing")
        side = side_of(version(text), version(first), version(last))
        # Patch releases of transformers and peft have broken others, so the newest measured one is the last.
        if axis != "torch" and version(text) > version(last):
            side = "newer"
        if side:
            reason = f"{side} than measured: {axis} {text} (measured: {first} to {last})"
            return _Uncertainty(reason, beyond(axis, side))
    return None


def _unmeasured_python(combination: Combination, verdicts: Verdicts) -> _Uncertainty | None:
    first, last = verdicts.measured_range("python")
    if combination.python is None or not first:
        return None
    side = side_of(version(combination.python), version(first), version(last))
    reason = f"{side} than measured: Python {combination.python} (measured: {first} to {last})"
    return _Uncertainty(reason, beyond("python", side)) if side else None


def _with_neighbor(judgement: Judgement, combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    """Add to a judgement on releases that are newer than measured what is known of the nearest measured releases."""
    axes = ("python", *STACK_PACKAGES)
    if judgement.uncertainty not in {beyond(axis, "newer") for axis in axes}:
        return judgement
    named = combination.named
    newest = {axis: matrix.verdicts.measured_range(axis)[1] for axis in axes if axis in named}
    neighbors = {axis: text for axis, text in newest.items() if version(named[axis]) > version(text)}
    python = neighbors.get("python", combination.python)
    versions = {**combination.versions, **{axis: text for axis, text in neighbors.items() if axis != "python"}}
    neighbor = judge(combination.model_copy(update={"python": python, "versions": versions}), matrix, recipe)
    names = enumerated([f"{_package(axis)} {text}" for axis, text in neighbors.items()])
    statement = f"with {names}, the newest measured, the verdict is {neighbor.verdict.value}"
    if neighbor.verdict is not Verdict.VERIFIED:
        statement = f"{statement} ({neighbor.reason.split('; ')[0]})"
    return judgement.model_copy(update={"reason": f"{judgement.reason}; {statement}"})


def _near_a_failure(combination: Combination, verdicts: Verdicts, recipe: str) -> _Uncertainty | None:
    named = combination.named
    for constraint in verdicts.constraints_for(recipe, installed=combination.installed):
        if constraint.is_uncertain(named):
            near = "These versions lie near a measured failure, and no measurement shows that they work"
            reason = f"{near}; {describe(constraint)}"
            return _Uncertainty(reason, f"near the boundary of {constraint.id}")
    return None


class _Pair(NamedTuple):
    """Two packages of a combination, and the measured successes that cover them."""

    package: str
    text: str
    """The version of ``package`` in the combination."""
    partner: str
    segment: Segment
    """The releases of ``partner`` that ``package`` cannot tell apart, around the version of the combination."""
    span: Segment | None
    """The releases of ``package`` that were measured to train with a release of ``segment``."""


def _pairs(combination: Combination, verdicts: Verdicts, recipe: str) -> Iterator[_Pair]:
    for package, partner in itertools.permutations(STACK_PACKAGES, 2):
        pair = f"{package} {partner}"
        index = verdicts.segment_index(pair, combination.versions[partner]) or 0
        segment, span = verdicts.segments[pair][index], verdicts.spans[recipe][pair][index]
        yield _Pair(package, combination.versions[package], partner, segment, span)


def _judged_by_pairs(pairs: Iterable[_Pair], recipe: str) -> Judgement:
    """Return ``compatible`` if every version lies between two that train with the segment of the other package.

    This is enough, since failures are facts about one or two packages.
    """
    conclusion = (
        f"Not measured together. Every pair was measured to train under {recipe} with neighboring versions, "
        "and no conflict is known"
    )
    statements = [conclusion]
    for package, text, partner, segment, span in pairs:
        partners = _releases(partner, segment)
        if span is None:
            reason = f"No measured cell with {partners} trains under {recipe}"
            uncertainty = f"no {package} trains with {partners}"
            return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty=uncertainty)
        side = side_of(version(text), version(span.first), version(span.last))
        if side:
            reason = (
                f"{package} {text} is {side} than every release that was measured to train under {recipe} "
                f"with {partners} ({span.first} to {span.last})"
            )
            uncertainty = f"{beyond(package, side)} than measured with {partners}"
            return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty=uncertainty)
        statements.append(f"{partners} was measured with {_releases(package, span)}")
    return Judgement(verdict=Verdict.COMPATIBLE, reason="; ".join(statements))


def _releases(package: str, segment: Segment) -> str:
    if segment.first == segment.last:
        return f"{package} {segment.first}"
    return f"{package} {segment.first} to {segment.last}"


def _package(name: str) -> str:
    return "Python" if name == "python" else name


def _conditions(combination: Combination, matrix: Matrix, recipe: str) -> Iterator[str]:
    for issue in matrix.issues:
        has_model = issue.is_of(combination.model_types)
        # A defect of other models than the one that is trained is no condition; of unknown models it is one.
        is_condition = issue.severity == "warning" or has_model is None
        if has_model is not False and is_condition and issue.concerns(recipe) and issue.applies_to(combination.named):
            yield f"{issue.title}: {issue.explanation}"


def nearest_cells(combination: Combination, verdicts: Verdicts, recipe: str, limit: int = 3) -> list[str]:
    """Return descriptions of the nearest measured cells, the nearest first.

    The distance counts the releases between two versions, weighted by ``DISTANCE_WEIGHTS``; of equally distant cells,
    those of the same Python come first. If one package of the stack is not named, all its releases are equally near;
    the newest come first. The list is empty if more are not named.
    """
    axes = [axis for axis in STACK_PACKAGES if axis in combination.versions]
    if len(axes) < len(STACK_PACKAGES) - 1:
        return []
    recipe = evidence_recipe(recipe)
    target = {axis: verdicts.release_index(axis, combination.versions[axis]) for axis in axes}

    def distance(cell: MeasuredCell) -> tuple[int, bool]:
        steps = {axis: abs(verdicts.release_index(axis, getattr(cell, axis)) - target[axis]) for axis in axes}
        return sum(DISTANCE_WEIGHTS[axis] * steps[axis] for axis in axes), cell.python != combination.python

    cells = [cell for cell in verdicts.cells if _outcome(cell, verdicts, recipe)]
    # Cells that differ only in companions, or in one release, are joined. A square of the limit leaves enough then.
    nearest = sorted(cells if len(axes) == len(STACK_PACKAGES) else cells[::-1], key=distance)[: limit * limit]
    return joined_cells(((cell, _outcome(cell, verdicts, recipe)) for cell in nearest), verdicts)[:limit]


def _outcome(cell: MeasuredCell, verdicts: Verdicts, recipe: str) -> str:
    """Return how a cell ended under ``recipe``, in one line; empty: it was not measured."""
    outcome = verdicts.outcomes[cell.how]
    if recipe in outcome.trains:
        return f"trains under {recipe}"
    return " ".join(outcome.fails.get(recipe, "").split())[:MAX_FAILURE_LENGTH]


def _measurement(cell: MeasuredCell) -> str:
    device = "" if cell.device == "none" else f" on {cell.device}"
    return f"Cell {cell.name} was measured on {cell.date}{device}"
