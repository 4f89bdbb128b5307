"""Ranges of releases that behave alike, and between which releases of one they train with another."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from packaging.version import Version

from vc2doctor.core.versions import STACK_PACKAGES, contains, version
from vc2doctor.matrix.compiled import Constraint, Segment
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.target.shared.recipes import RECIPES


def segments(
    constraints: Iterable[Constraint], lines: Sequence[EvidenceLine], releases: dict[str, tuple[str, ...]]
) -> dict[str, tuple[Segment, ...]]:
    """Return, for two packages, the runs of releases of the second that the first cannot tell apart.

    No constraint that is about both of them begins or ends within one. Keys are as in ``torch transformers``.
    """
    parting = [one for one in constraints if not one.recipes and one.when.keys() <= set(STACK_PACKAGES)]
    installed = [line.cell for line in lines if line.install == "installed"]
    found = {}
    for one, other in itertools.permutations(STACK_PACKAGES, 2):
        measured = {version(getattr(cell, other)) for cell in installed}
        if measured:
            known = {version(text) for text in releases.get(other, ())} | measured
            ordered = sorted(release for release in known if min(measured) <= release <= max(measured))
            sides = sorted({constraint.when[other] for constraint in parting if {one, other} <= constraint.when.keys()})
            signature = [tuple(contains(side, str(release)) for side in sides) for release in ordered]
            found[f"{one} {other}"] = tuple(_runs(ordered, signature))
    return found


def _runs(ordered: list[Version], signature: list[tuple[bool, ...]]) -> Iterable[Segment]:
    for _, group in itertools.groupby(zip(ordered, signature, strict=True), key=lambda pair: pair[1]):
        members = [release for release, _ in group]
        yield Segment(first=str(members[0]), last=str(members[-1]))


def index_of(found: Sequence[Segment], text: str) -> int:
    """Return the index of the segment that a measured version lies in."""
    return max(index for index, one in enumerate(found) if version(one.first) <= version(text))


def spans(
    lines: Sequence[EvidenceLine], found: dict[str, tuple[Segment, ...]]
) -> dict[str, dict[str, tuple[Segment | None, ...]]]:
    """Return between which releases of one package those of a segment of another were measured to train."""
    result: dict[str, dict[str, tuple[Segment | None, ...]]] = {}
    for recipe in RECIPES:
        good = [line.cell for line in lines if line.trains(recipe)]
        result[recipe] = {}
        for one, other in itertools.permutations(STACK_PACKAGES, 2):
            pair = f"{one} {other}"
            trained: dict[int, list[Version]] = defaultdict(list)
            for cell in good:
                trained[index_of(found[pair], getattr(cell, other))].append(version(getattr(cell, one)))
            result[recipe][pair] = tuple(
                Segment(first=str(min(trained[index])), last=str(max(trained[index]))) if trained[index] else None
                for index in range(len(found.get(pair, ())))
            )
    return result
