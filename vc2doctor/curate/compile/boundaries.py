"""Regions where evidence fails: the fewest axes, and the fewest boxes along them, that part failures from successes.

A failure is told apart by its signature: the stage that it stopped, whose code raised it, what was missing. For the
lines of one signature every choice of up to three axes is tried; in the best, few boxes on few axes hold all the
failures and no success. An axis that the failure itself names is preferred, so that what is found is a fact about two
packages.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

from vc2doctor.core.failure import Failure, Missing
from vc2doctor.core.versions import ABSENT, holds, interface_version, version
from vc2doctor.matrix.compiled import GPU, Constraint
from vc2doctor.matrix.evidence import EvidenceLine

_CELL_AXES = ("torch", "transformers", "peft", "python")
_MOST_AXES = 3
_FEW_CELLS = 2
_ENOUGH = 60
"""Letters of a message that tell failures apart: what follows is advice, and is worded anew in every release."""

Point = dict[str, Version]


class Signature(NamedTuple):
    """What makes failures one kind."""

    stage: str
    """``install``, ``import``, ``train``, ``save``, or a recipe."""
    package: str
    """Whose code failed."""
    what: str
    """What was missing, or the message less its numbers."""


class Failed(NamedTuple):
    """A line of evidence that failed, and how it was told."""

    line: EvidenceLine
    description: str
    involved: frozenset[str]
    """Packages that the failure names."""
    between: bool
    """Whether it is a fact about all of them: one has not what another wants."""
    absent: str | None = None
    """A distribution that is not there, and that nobody declares."""
    chosen: bool = False
    """Whether a version that the resolver chose explains it."""


class Box(NamedTuple):
    """A hull of failing points: by axis, the lowest and the highest version."""

    sides: dict[str, tuple[Version, Version]]

    def holds(self, point: Point) -> bool:
        """Return whether ``point`` lies inside."""
        return all(axis in point and low <= point[axis] <= high for axis, (low, high) in self.sides.items())

    def with_(self, point: Point) -> "Box":
        """Return the hull of this box and ``point``."""
        return Box({axis: (min(low, point[axis]), max(high, point[axis])) for axis, (low, high) in self.sides.items()})


def point_of(line: EvidenceLine) -> Point:
    """Return the versions of a line, by axis."""
    return {name: interface_version(name, version(text)) for name, text in line.versions.items()}


def constraints(lines: Sequence[EvidenceLine], explained: Sequence[Constraint]) -> list[Constraint]:
    """Return the constraints that the failures of ``lines`` show, beyond those that are ``explained`` already."""
    found: list[Constraint] = []
    points = {id(line): point_of(line) for line in lines}
    for signature, failed in _by_signature(lines, explained).items():
        absent = failed[0].absent
        # Where it is there, that it works says nothing of where it is not.
        fair = [line for line in lines if absent is None or not _is_there(absent, line)]
        passed = [points[id(line)] for line in fair if passes(line, signature.stage)]
        boxes = _part(failed, [points[id(entry.line)] for entry in failed], passed)
        for number, box in enumerate(boxes, start=1):
            inside = [entry for entry in failed if box.holds(points[id(entry.line)])]
            found.append(_constraint(signature, number, box, inside, fair))
    return found


def together(lines: Sequence[EvidenceLine], explained: Sequence[Constraint]) -> list[Constraint]:
    """Return where torch and transformers fail together, whatever the stage.

    One cause stops some peft at the import and others at the first step. Taken one by one, each failure would leave the
    region of the other in doubt.
    """
    elsewhere = [one for one in explained if not one.recipes and not set(_TOGETHER) <= one.when.keys()]
    failed = [
        Failed(line, entry.description, frozenset(_TOGETHER), between=False)
        for line in lines
        for signature, entry in failures(line)
        if signature.stage in ("import", "train") and not any(_strikes(one, line) for one in elsewhere)
    ]
    passed = [point_of(line) for line in lines if passes(line, "any")]
    trained = {tuple(point[axis] for axis in _TOGETHER) for point in passed}
    failed = [entry for entry in failed if tuple(point_of(entry.line)[axis] for axis in _TOGETHER) not in trained]
    boxes = _boxes(_TOGETHER, [point_of(entry.line) for entry in failed], passed) or []
    found = []
    for number, box in enumerate(boxes, start=1):
        inside = [entry for entry in failed if box.holds(point_of(entry.line))]
        if len(inside) > _FEW_CELLS and len({entry.description[:_ENOUGH] for entry in inside}) > 1:
            found.append(_constraint(Signature("any", "torch", "transformers"), number, box, inside, lines))
    return found


_TOGETHER = ("torch", "transformers")


def passes(line: EvidenceLine, stage: str) -> bool:
    """Return whether ``line`` got past ``stage``."""
    reached = {
        "install": line.install == "installed",
        "import": line.install == "installed" and line.import_failure is None,
        "train": line.recipes.get("fp32") == "finite",
        "save": line.adapter == "same",
        "any": line.trains("fp32") is True,
    }
    return reached[stage] if stage in reached else reached["train"] and line.recipes.get(stage) == "finite"


def failures(line: EvidenceLine) -> Iterator[tuple[Signature, Failed]]:
    """Yield how ``line`` failed: at the first stage that stopped it, or in single recipes."""
    if line.install != "installed":
        yield _not_installed(line)
    elif line.import_failure is not None:
        yield _failure("import", line, line.import_failure)
    elif line.recipes.get("fp32", "unsupported") not in ("finite", "unsupported"):
        yield _outcome("train", "fp32", line)
    else:
        if line.adapter in ("error", "different"):
            failure = line.adapter_failure or Failure(type="Adapter", message=f"the reloaded model is {line.adapter}")
            yield _failure("save", line, failure)
        for recipe, outcome in line.recipes.items():
            if recipe != "fp32" and outcome not in ("finite", "unsupported"):
                yield _outcome(recipe, recipe, line)


def _not_installed(line: EvidenceLine) -> tuple[Signature, Failed]:
    told = line.install_message or line.install
    named = {name for name in _NAMES if re.search(rf"\b{name}\b", told)}
    built = _BUILT.search(told)
    if line.install != "unsatisfiable":
        # Wheels are made for a Python; what has none for it is built there.
        named.add("python")
    pinned = sorted(line.versions.keys() - line.cell.model_dump().keys())
    what = " ".join([line.install, *([built[1]] if built else []), *pinned])
    return Signature("install", "", what), Failed(line, f"{line.install}: {told}", frozenset(named), between=True)


_BUILT = re.compile(r"build `([^`]+)`")
_NAMES = (
    "torch",
    "transformers",
    "peft",
    "python",
    "numpy",
    "tokenizers",
    "huggingface-hub",
    "accelerate",
)


def _outcome(stage: str, recipe: str, line: EvidenceLine) -> tuple[Signature, Failed]:
    if recipe in line.failures:
        return _failure(stage, line, line.failures[recipe])
    outcome = line.recipes[recipe]
    return Signature(stage, "", outcome), Failed(line, f"{recipe} ends {outcome}", frozenset(), between=False)


def _failure(stage: str, line: EvidenceLine, failure: Failure) -> tuple[Signature, Failed]:
    package = (failure.package or "").replace("_", "-")
    named = {package}
    if failure.missing is not None:
        named.add(failure.missing.module.partition(".")[0].replace("_", "-"))
        what = f"{failure.missing.module}:{failure.missing.symbol or ''}"
    else:
        what = f"{failure.type}: {' '.join(re.sub(r'[0-9]+', '#', failure.message).split())[:_ENOUGH]}"
    absent = GPU if _NO_GPU.search(failure.message) else _undeclared(failure.missing)
    if absent is not None and absent in line.resolved:
        # It is there, in a version that no longer has the module.
        named.add(absent)
        absent = None
    if absent is not None:
        what = f"no {absent}"
    involved = frozenset(name for name in named if name in (*_NAMES, "setuptools"))
    between = failure.missing is not None and absent is None
    told = f"{failure.type}: {' '.join(failure.message.split())}"
    return Signature(stage, package, what), Failed(line, told, involved, between, absent)


def _undeclared(missing: Missing | None) -> str | None:
    """Return the distribution that is not there at all, where that is what is missing."""
    if missing is None or missing.symbol or "." in missing.module:
        return None
    name = missing.module.replace("_", "-").lower()
    return None if name in _NAMES else _PROVIDED_BY.get(name, name)


def _is_there(name: str, line: EvidenceLine) -> bool:
    return line.device not in ("cpu", "none") if name == GPU else name in line.resolved


_NO_GPU = re.compile(r"accelerator device when none is available|[Nn]o NVIDIA|CUDA.{0,20}not available")
_PROVIDED_BY = {"pkg-resources": "setuptools"}
"""Distributions by a module that is not named as they are."""


def _by_signature(lines: Iterable[EvidenceLine], explained: Sequence[Constraint]) -> dict[Signature, list[Failed]]:
    found: dict[Signature, list[Failed]] = defaultdict(list)
    for line in lines:
        for signature, failed in failures(line):
            early = signature.stage in ("install", "import")
            reasons = [one for one in explained if early and (one.kind == "install") is (signature.stage == "install")]
            reasons = [one for one in reasons if _strikes(one, line)]
            pinned = {Requirement(text).name for text in line.asked}
            if not any(one.when.keys() <= {*_CELL_AXES, *pinned} for one in reasons):
                # What decides is a package that the resolver chose; who names none of those wants to know it, too.
                found[signature].append(failed._replace(chosen=bool(reasons)))
    return dict(sorted(found.items()))


def _strikes(constraint: Constraint, line: EvidenceLine) -> bool:
    return holds(constraint.when, line.versions)


def _part(failed: list[Failed], points: list[Point], passed: list[Point]) -> list[Box]:
    if not passed and len(failed) > _FEW_CELLS:
        return [Box({})]
    involved = frozenset.intersection(*(entry.involved for entry in failed))
    shared = sorted(set.intersection(*(set(point) for point in points)))
    axes = [axis for axis in _CELL_AXES if axis in shared]
    if not all(entry.chosen for entry in failed):
        axes += [name for name in shared if name not in axes and name in involved]
    demanded = involved.intersection(axes) if all(entry.between for entry in failed) else frozenset()
    best: tuple[float, list[Box]] | None = None
    for size in range(1, _MOST_AXES + 1):
        for chosen in itertools.combinations(axes, size):
            boxes = _boxes(chosen, points, passed) if demanded <= set(chosen) else None
            if boxes is not None:
                foreign = len(set(chosen) - involved)
                cost = len(boxes) + 1.5 * size + 0.8 * foreign
                if best is None or cost < best[0]:
                    best = cost, boxes
    if best is not None:
        return best[1]
    return [Box({axis: (point[axis], point[axis]) for axis in shared}) for point in points]


def _boxes(axes: tuple[str, ...], points: list[Point], passed: list[Point]) -> list[Box] | None:
    boxes: list[Box] = []
    for point in sorted(points, key=lambda point: [point[axis] for axis in axes]):
        if any(box.holds(point) for box in boxes):
            continue
        alone = Box({axis: (point[axis], point[axis]) for axis in axes})
        if any(alone.holds(other) for other in passed):
            return None
        for index, box in enumerate(boxes):
            wider = box.with_(point)
            if not any(wider.holds(other) for other in passed):
                boxes[index] = wider
                break
        else:
            boxes.append(alone)
    return boxes


def _constraint(
    signature: Signature,
    number: int,
    box: Box,
    inside: list[Failed],
    lines: Sequence[EvidenceLine],
) -> Constraint:
    good = [(point_of(line), line.name) for line in lines if passes(line, signature.stage)]
    axes = tuple(box.sides)
    uncertain_zone, works = {}, []
    for axis in axes:
        low, high = box.sides[axis]
        near = Box({other: side for other, side in box.sides.items() if other != axis})
        row = [(point[axis], name) for point, name in good if axis in point and near.holds(point)]
        below = max((pair for pair in row if pair[0] < low), default=None)
        above = min((pair for pair in row if pair[0] > high), default=None)
        sides = [f">{below[0]}" if below else "", f"<{above[0]}" if above else ""]
        if axis == "torch" and below:
            sides[0] = f">={_next(below[0])}"
        uncertain_zone[axis] = ",".join(side for side in sides if side)
        works += [pair[1] for pair in (below, above) if pair]
    ends = sorted(inside, key=lambda entry: [point_of(entry.line)[axis] for axis in axes])
    told = ends[0].description
    where = " and ".join(f"{axis} {_range(box.sides[axis])}" for axis in axes) or "every measured combination"
    stage = _STAGES.get(signature.stage, f"training under {signature.stage} fails")
    when = {axis: _specifier(axis, box.sides[axis]) for axis in axes}
    if ends[0].absent:
        when[ends[0].absent] = uncertain_zone[ends[0].absent] = ABSENT
        where += f" and no {ends[0].absent}"
    return Constraint(
        id=_slug(f"{signature.stage}-{signature.package}-{signature.what}", number),
        kind="install" if signature.stage == "install" or all(entry.chosen for entry in inside) else "behaviour",
        reason=f"with {where} {stage}: {told}",
        when=when,
        uncertain_zone=uncertain_zone,
        failure_bounds={axis: (str(low), str(high)) for axis, (low, high) in box.sides.items()},
        nearest_passes=tuple(_shields(box, [point for point, _ in good])),
        recipes=() if signature.stage in _STAGES else (signature.stage,),
        failed=tuple(dict.fromkeys((ends[0].line.name, ends[-1].line.name))),
        works=tuple(dict.fromkeys(works)),
    )


def _shields(box: Box, passed: Iterable[Point]) -> Iterator[dict[str, str]]:
    """Yield those of ``passed`` that no other hides from ``box``."""
    axes = tuple(box.sides)
    seen = {tuple(point[axis] for axis in axes) for point in passed if all(axis in point for axis in axes)}
    points = [dict(zip(axes, values, strict=True)) for values in sorted(seen)]
    hulls = [box.with_(point) for point in points]
    for index, point in enumerate(points):
        if not any(hulls[index].holds(other) for place, other in enumerate(points) if place != index):
            yield {axis: str(found) for axis, found in point.items()}


_STAGES = {
    "install": "nothing can be installed",
    "import": "the import fails",
    "train": "training fails even in float32",
    "save": "save, reload and generate fail",
    "any": "nothing that was measured trains",
}


def _range(side: tuple[Version, Version]) -> str:
    return str(side[0]) if side[0] == side[1] else f"{side[0]} to {side[1]}"


def _specifier(axis: str, side: tuple[Version, Version]) -> str:
    low, high = side
    if axis == "torch":
        return f"=={low}.*" if low == high else f">={low},<{_next(high)}"
    return f"=={low}" if low == high else f">={low},<={high}"


def _next(minor: Version) -> str:
    return f"{minor.major}.{minor.minor + 1}"


def _slug(text: str, number: int) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"{words[:60].rstrip('-')}-{number}"
