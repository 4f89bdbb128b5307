"""Regions where evidence fails, found by separating measured failures from measured successes.

Failures of one signature are separated together: every choice of up to three axes is tried, and the best one needs few
boxes on few axes to hold all failures and no success. Axes that the failure itself names cost less, so that the result
is preferably a fact about those packages.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

from vc2doctor.core.versions import ABSENT, holds
from vc2doctor.curate.compile.boxes import Box, Point, Side, box_at, covering_boxes, nearest_to, point_of
from vc2doctor.curate.compile.failures import (
    MESSAGE_PREFIX_LENGTH,
    ObservedFailure,
    Signature,
    failures_of,
    is_present,
    passes,
)
from vc2doctor.matrix.compiled import GPU, Constraint
from vc2doctor.matrix.evidence import EvidenceLine

CELL_AXES = ("torch", "transformers", "peft", "python")
JOINT_AXES = ("torch", "transformers")
MAX_AXES = 3
"""Axes of a region. More of them separate anything from anything, and no longer show what fails with what."""
MIN_CELLS = 3
"""Failing cells that a general statement needs: "fails everywhere", or "fails at whatever stage"."""
BOX_COST = 1.0
AXIS_COST = 1.5
"""More than one box: a further axis is worth it only if it saves two boxes."""
FOREIGN_AXIS_COST = 0.8
"""Extra cost of an axis that the failure does not name: such an axis has to save three boxes."""
MAX_ID_LENGTH = 60

_STAGES = {
    "install": "the packages cannot be installed",
    "import": "the import fails",
    "train": "training fails even in float32",
    "save": "the adapter cannot be saved, reloaded and used",
    "any": "no measured cell trains",
}


class _PassingCell(NamedTuple):
    """A measured cell that got past the stage in question."""

    point: Point
    name: str


def constraints(lines: Sequence[EvidenceLine], explained: Sequence[Constraint]) -> list[Constraint]:
    """Return the constraints that the failures of ``lines`` show, beyond those that are ``explained`` already."""
    result: list[Constraint] = []
    for signature, failures in _by_signature(lines, explained).items():
        absent = failures[0].absent
        # A cell that has the package tells us nothing about cells that lack it.
        comparable = [line for line in lines if absent is None or not is_present(absent, line)]
        passing = _passing(comparable, signature.stage)
        boxes = _separating_boxes(failures, [cell.point for cell in passing])
        for number, box in enumerate(boxes, start=1):
            inside = [failure for failure in failures if box.contains(failure.point)]
            result.append(_constraint(signature, number, box, inside, passing))
    return result


def joint_constraints(lines: Sequence[EvidenceLine], explained: Sequence[Constraint]) -> list[Constraint]:
    """Return the regions of torch and transformers in which no peft trains, whatever the stage that fails.

    One cause can stop some releases of peft at the import and others at the first step. If they were separated by
    stage, each kind of failure would leave the region of the other kind uncertain.
    """
    others = [
        constraint
        for constraint in explained
        if not constraint.recipes and not set(JOINT_AXES) <= constraint.when.keys()
    ]
    passing = _passing(lines, "any")
    trained = {_joint_position(cell.point) for cell in passing}
    failures = [
        failure
        for line in lines
        if not any(holds(constraint.when, line.versions) for constraint in others)
        for signature, failure in failures_of(line)
        if signature.stage in ("import", "train")
        and _joint_position(failure.point) not in trained
        and not _is_of_another(signature, line)
    ]
    points = [failure.point for failure in failures]
    boxes = covering_boxes(JOINT_AXES, points, [cell.point for cell in passing]) or []
    result = []
    for number, box in enumerate(boxes, start=1):
        inside = [failure for failure in failures if box.contains(failure.point)]
        if _fails_in_several_ways(inside):
            result.append(_constraint(Signature("any", *JOINT_AXES), number, box, inside, passing))
    return result


def _joint_position(point: Point) -> tuple[Version, ...]:
    return tuple(point[axis] for axis in JOINT_AXES)


def _fails_in_several_ways(failures: Sequence[ObservedFailure]) -> bool:
    messages = {failure.description[:MESSAGE_PREFIX_LENGTH] for failure in failures}
    return len(failures) >= MIN_CELLS and len(messages) > 1


def _passing(lines: Iterable[EvidenceLine], stage: str) -> list[_PassingCell]:
    return [_PassingCell(point_of(line), line.name) for line in lines if passes(line, stage)]


def _by_signature(
    lines: Iterable[EvidenceLine], explained: Sequence[Constraint]
) -> dict[Signature, list[ObservedFailure]]:
    """Return the failures by signature, without those that a constraint on the cell's own packages explains."""
    result: dict[Signature, list[ObservedFailure]] = defaultdict(list)
    for line in lines:
        requested = {*CELL_AXES, *(Requirement(text).name for text in line.asked)}
        for signature, failure in failures_of(line):
            if _is_of_another(signature, line):
                continue
            reasons = [
                constraint
                for constraint in explained
                if _can_explain(constraint, signature.stage, line) and holds(constraint.when, line.versions)
            ]
            if not any(constraint.when.keys() <= requested for constraint in reasons):
                # If reasons remain, a transitive dependency causes this. Users who pin only the stack still need to
                # see it, so the failure counts.
                result[signature].append(failure._replace(resolver_explains=bool(reasons)))
    return dict(sorted(result.items()))


def _is_of_another(signature: Signature, line: EvidenceLine) -> bool:
    """Return whether the code of a package beside the stack failed, such as torchao's.

    That is a fact about this package, which most environments do not have, and says nothing about the others.
    """
    return signature.package in line.beside


def _can_explain(constraint: Constraint, stage: str, line: EvidenceLine) -> bool:
    """Return whether a constraint of the wheels is about ``stage``: they show failed installations and imports.

    A package that only doors need, such as torchao, can also stop the first step, where peft looks for it.
    """
    if stage == "train" and constraint.kind != "install":
        return not line.door_packages.keys().isdisjoint(constraint.when)
    return stage in ("install", "import") and (constraint.kind == "install") is (stage == "install")


def _separating_boxes(failures: Sequence[ObservedFailure], passed: Sequence[Point]) -> list[Box]:
    """Return the boxes of lowest cost that hold all failures and no point of ``passed``."""
    if not passed and len(failures) >= MIN_CELLS:
        return [Box({})]
    points = [failure.point for failure in failures]
    shared = sorted(set.intersection(*(set(point) for point in points)))
    involved = frozenset.intersection(*(failure.involved for failure in failures))
    axes = [axis for axis in CELL_AXES if axis in shared]
    if not all(failure.resolver_explains for failure in failures):
        axes += [name for name in shared if name not in axes and name in involved]
    # If one package lacks what another one needs, the region must be about both of them.
    required = involved.intersection(axes) if all(failure.is_mutual for failure in failures) else frozenset()
    best: tuple[float, list[Box]] | None = None
    for size in range(1, MAX_AXES + 1):
        for chosen in itertools.combinations(axes, size):
            boxes = covering_boxes(chosen, points, passed) if required <= set(chosen) else None
            if boxes is not None:
                foreign = len(set(chosen) - involved)
                cost = BOX_COST * len(boxes) + AXIS_COST * size + FOREIGN_AXIS_COST * foreign
                if best is None or cost < best[0]:
                    best = cost, boxes
    # Without a separation on few axes, each failure stands for exactly its own versions.
    return best[1] if best is not None else [box_at(point, shared) for point in points]


def _constraint(
    signature: Signature,
    number: int,
    box: Box,
    failures: Sequence[ObservedFailure],
    passing: Sequence[_PassingCell],
) -> Constraint:
    """Return the constraint of the region ``box``, in which ``failures`` lie."""
    ends = sorted(failures, key=lambda failure: [failure.point[axis] for axis in box.sides])
    neighbors = {axis: _neighbors(box, axis, passing) for axis in box.sides}
    when = {axis: _specifier(axis, side) for axis, side in box.sides.items()}
    uncertain_zone = {axis: _open_range(axis, *neighbors[axis]) for axis in box.sides}
    absent = ends[0].absent
    if absent:
        when[absent] = uncertain_zone[absent] = ABSENT
    works = [cell.name for pair in neighbors.values() for cell in pair if cell is not None]
    nearest = nearest_to(box, [cell.point for cell in passing])
    # If the resolver's choices explain all failures, the constraint is about the resolver. Packages that are installed
    # already are judged by the constraints on the versions that it chose.
    is_install = signature.stage == "install" or all(failure.resolver_explains for failure in failures)
    kind: Literal["install", "behaviour"] = "install" if is_install else "behaviour"
    return Constraint(
        id=_id(signature, number),
        kind=kind,
        reason=_reason(signature, box, ends[0], kind),
        when=when,
        uncertain_zone=uncertain_zone,
        failure_bounds={axis: (str(low), str(high)) for axis, (low, high) in box.sides.items()},
        nearest_passes=tuple({axis: str(release) for axis, release in point.items()} for point in nearest),
        recipes=() if signature.stage in _STAGES else (signature.stage,),
        failed=tuple(dict.fromkeys((ends[0].line.name, ends[-1].line.name))),
        works=tuple(dict.fromkeys(works)),
    )


def _neighbors(box: Box, axis: str, passing: Iterable[_PassingCell]) -> tuple[_PassingCell | None, _PassingCell | None]:
    """Return the nearest passing cells below and above ``box`` along one axis, within the box on the other axes."""
    low, high = box.sides[axis]
    others = box.without(axis)
    row = [cell for cell in passing if axis in cell.point and others.contains(cell.point)]

    def position(cell: _PassingCell) -> tuple[Version, str]:
        return cell.point[axis], cell.name

    below = max((cell for cell in row if cell.point[axis] < low), key=position, default=None)
    above = min((cell for cell in row if cell.point[axis] > high), key=position, default=None)
    return below, above


def _reason(signature: Signature, box: Box, failure: ObservedFailure, kind: str) -> str:
    conditions = [f"with {_listed([_range(axis, side) for axis, side in box.sides.items()])}"] if box.sides else []
    if failure.absent:
        conditions.append(f"without {'a GPU' if failure.absent == GPU else failure.absent}")
    where = " and ".join(conditions) or "in every measured environment"
    what = _STAGES.get(signature.stage, f"training under {signature.stage} fails")
    if kind == "install" and signature.stage != "install":
        what = f"the resolver chooses versions with which {what}"
    return f"{where[0].upper()}{where[1:]}, {what}: {failure.description}"


def _range(axis: str, side: Side) -> str:
    low, high = side
    return f"{'Python' if axis == 'python' else axis} {low if low == high else f'{low} to {high}'}"


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _open_range(axis: str, below: _PassingCell | None, above: _PassingCell | None) -> str:
    """Return the specifier of the versions between two cells that pass; the versions of the two cells are excluded."""
    bounds = []
    if below is not None:
        release = below.point[axis]
        # A point has the minor release of torch only, and >2.3 would include 2.3.1.
        bounds.append(f">={_next_minor(release)}" if axis == "torch" else f">{release}")
    if above is not None:
        bounds.append(f"<{above.point[axis]}")
    return ",".join(bounds)


def _specifier(axis: str, side: Side) -> str:
    low, high = side
    if axis == "torch":
        return f"=={low}.*" if low == high else f">={low},<{_next_minor(high)}"
    return f"=={low}" if low == high else f">={low},<={high}"


def _next_minor(release: Version) -> str:
    return f"{release.major}.{release.minor + 1}"


def _id(signature: Signature, number: int) -> str:
    text = "-".join(signature).lower()
    words = re.sub(r"[^a-z0-9]+", "-", text).strip("-")
    return f"{words[:MAX_ID_LENGTH].rstrip('-')}-{number}"
