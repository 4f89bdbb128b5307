"""Draw cells that were not measured: half of them at random, and half near a boundary that the matrix knows."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, contains
from vc2doctor.curate.grid.cells import CellSpec, key_of
from vc2doctor.curate.plan import extras_of
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.releases import Wheels

NEAR = 2
"""A cell near a boundary has releases at most this far from the boundary's own."""
NEIGHBORS = 3
"""Releases before and after the newest one on a date, from which a cell near that date is drawn."""
BESIDE = ("accelerate", "trl", "bitsandbytes", "torchao", "numpy")
"""Packages that a cell may ask for by release beside its three: those whose releases decide what a door does."""
CHANCE_BESIDE = 0.25
"""The chance that a cell asks for a release of one of them; otherwise, the resolver chooses, or it is not installed."""
MAX_DRAWS = 10_000
"""Drawing stops then: if most cells were measured before, few new ones are left."""


class Sample(Data):
    """How many cells to draw, and with which seed."""

    cells: int
    seed: int


def draw(
    wheels: Wheels,
    known: Iterable[EvidenceLine],
    constraints: Sequence[Constraint],
    axes: tuple[Sequence[str], Sequence[str]],
    sample: Sample,
) -> list[CellSpec]:
    """Return cells that were not measured; ``axes`` are the releases of torch and of Python to draw from.

    Every second cell lies near the boundary of one of ``constraints``, where a matrix is most likely to be wrong. Of
    the others, half are uniform, and half have releases of about the same date, as users mostly combine them. Any cell
    may ask for releases of other packages, from about the date of its transformers.
    """
    generator = random.Random(sample.seed)  # noqa: S311 - a sample, not a secret
    torches, pythons = axes
    taken = {key_of(line) for line in known}
    boundaries = [constraint for constraint in constraints if any(_edges(wheels, constraint.when))]
    specs: list[CellSpec] = []
    for _ in range(MAX_DRAWS):
        if len(specs) == sample.cells:
            break
        versions = {"torch": generator.choice(torches)}
        versions.update(_pick(wheels, versions["torch"], boundaries, generator, len(specs)))
        versions.update(_pick_beside(wheels, versions, generator))
        spec = _spec(wheels, versions, torches, pythons, generator)
        if spec is not None and spec.key not in taken:
            taken.add(spec.key)
            specs.append(spec)
    return specs


def draw_torches(wheels: Wheels, newest: str, limit: int, seed: int) -> list[str]:
    """Return ``limit`` random releases of torch up to ``newest``, the oldest first."""
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    releases = [text for text in wheels.ordered("torch") if Version(text) <= Version(newest)]
    return sorted(generator.sample(releases, min(limit, len(releases))), key=Version)


def _pick(
    wheels: Wheels, torch: str, boundaries: Sequence[Constraint], generator: random.Random, number: int
) -> dict[str, str]:
    """Return the versions of the other packages for the cell with this number."""
    if number % 4 == 0 or (number % 2 and not boundaries):
        return {name: generator.choice(wheels.ordered(name)) for name in ("transformers", "peft")}
    date = wheels.releases["torch"][torch].date
    versions = {name: _pick_near_date(wheels, name, date, generator) for name in ("transformers", "peft")}
    if number % 2:
        constraint = generator.choice(boundaries)
        edges = dict(_edges(wheels, constraint.when))
        versions.update({name: _pick_near(wheels, name, indexes, generator) for name, indexes in edges.items()})
    return versions


def _pick_beside(wheels: Wheels, versions: Mapping[str, str], generator: random.Random) -> dict[str, str]:
    """Return releases of some other packages, from about the date of the cell's transformers."""
    date = wheels.releases["transformers"][versions["transformers"]].date
    names = [name for name in BESIDE if name not in versions and generator.random() < CHANCE_BESIDE]
    return {name: _pick_near_date(wheels, name, date, generator) for name in names}


def _edges(wheels: Wheels, when: Mapping[str, str]) -> Iterator[tuple[str, list[int]]]:
    """Yield each package of a condition with the positions of the releases at which its specifier begins or ends."""
    for name, specifier in when.items():
        ordered = wheels.ordered(name)
        inside = [index for index, text in enumerate(ordered) if specifier != ABSENT and contains(specifier, text)]
        edges = [index for index in inside if not {index - 1, index + 1} <= set(inside)]
        bounded = [index for index in edges if 0 < index < len(ordered) - 1]
        if bounded:
            yield name, bounded


def _pick_near(wheels: Wheels, package: str, edges: Sequence[int], generator: random.Random) -> str:
    ordered, edge = wheels.ordered(package), generator.choice(edges)
    return generator.choice(ordered[max(0, edge - NEAR) : edge + NEAR + 1])


def _spec(
    wheels: Wheels,
    versions: Mapping[str, str],
    torches: Sequence[str],
    pythons: Sequence[str],
    generator: random.Random,
) -> CellSpec | None:
    """Return the cell with ``versions``; ``None``: its torch is none of those to draw, or no Python has all wheels."""
    beside = [(name, text) for name, text in versions.items() if name not in STACK_PACKAGES]
    supported = [
        python
        for python in pythons
        if _has_wheel(wheels, versions["torch"], python)
        # What has to be built from source takes minutes, and depends on the compilers of the machine.
        and all(wheels.releases[name][text].supports(python) for name, text in beside)
    ]
    if not supported or versions["torch"] not in torches:
        return None
    cell = Cell(python=generator.choice(supported), **{name: versions[name] for name in STACK_PACKAGES})
    others = tuple(f"{name}=={text}" for name, text in sorted(beside))
    extras = tuple(extra for extra in extras_of(versions["torch"]) if "numpy" not in versions)
    return CellSpec(cell=cell, extras=(*extras, *others))


def _pick_near_date(wheels: Wheels, package: str, date: str, generator: random.Random) -> str:
    dates = {text: wheels.releases[package][text].date for text in wheels.ordered(package)}
    by_date = sorted(dates, key=lambda text: (dates[text], Version(text)))
    until = [index for index, text in enumerate(by_date) if dates[text] <= date]
    newest = until[-1] if until else 0
    return generator.choice(by_date[max(0, newest - NEIGHBORS) : newest + NEIGHBORS + 1])


def _has_wheel(wheels: Wheels, torch: str, python: str) -> bool:
    built_for = wheels.releases["torch"][torch].built_for
    return not built_for or python in built_for
