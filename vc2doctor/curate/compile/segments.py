"""Ranges of releases that behave alike with another package, and the releases that were measured to train with them."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from packaging.version import Version

from vc2doctor.core.versions import STACK_PACKAGES, contains, version
from vc2doctor.matrix.compiled import Constraint, Segment
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.target.doors import LOOP
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES


def segments(
    constraints: Iterable[Constraint], lines: Sequence[EvidenceLine], releases: dict[str, tuple[str, ...]]
) -> dict[str, tuple[Segment, ...]]:
    """Return the segments by pair of packages: ranges of the second package that the first cannot tell apart.

    No constraint on both packages begins or ends within a segment. Keys look like ``torch transformers``.
    """
    stack_constraints = [
        constraint
        for constraint in constraints
        if not constraint.recipes and constraint.door == LOOP and constraint.when.keys() <= set(STACK_PACKAGES)
    ]
    installed = [line.cell for line in lines if line.install == "installed"]
    result = {}
    for package, partner in itertools.permutations(STACK_PACKAGES, 2):
        measured = {version(getattr(cell, partner)) for cell in installed}
        if measured:
            known = {version(text) for text in releases.get(partner, ())} | measured
            ordered = sorted(release for release in known if min(measured) <= release <= max(measured))
            specifiers = sorted(
                {
                    constraint.when[partner]
                    for constraint in stack_constraints
                    if {package, partner} <= constraint.when.keys()
                }
            )
            result[f"{package} {partner}"] = tuple(_alike(ordered, specifiers))
    return result


def _alike(releases: Sequence[Version], specifiers: Sequence[str]) -> Iterable[Segment]:
    """Yield the runs of consecutive releases that the same specifiers match."""

    def matches(release: Version) -> tuple[bool, ...]:
        return tuple(contains(specifier, str(release)) for specifier in specifiers)

    for _, group in itertools.groupby(releases, key=matches):
        run = list(group)
        yield Segment(first=str(run[0]), last=str(run[-1]))


def spans(
    lines: Sequence[EvidenceLine], segments_by_pair: dict[str, tuple[Segment, ...]]
) -> dict[str, dict[str, tuple[Segment | None, ...]]]:
    """Return, by recipe and pair and for each segment, the releases of the first package that train with the segment.

    They are given as the oldest and the newest measured one; ``None``: no measured release trains.
    """
    result: dict[str, dict[str, tuple[Segment | None, ...]]] = {}
    for recipe in DEFAULT_RECIPES:
        training = [line.cell for line in lines if line.trains(recipe)]
        result[recipe] = {}
        for package, partner in itertools.permutations(STACK_PACKAGES, 2):
            pair = f"{package} {partner}"
            releases: dict[int, list[Version]] = defaultdict(list)
            for cell in training:
                index = _segment_index(segments_by_pair[pair], getattr(cell, partner))
                releases[index].append(version(getattr(cell, package)))
            result[recipe][pair] = tuple(_span(releases[index]) for index in range(len(segments_by_pair.get(pair, ()))))
    return result


def _span(releases: Sequence[Version]) -> Segment | None:
    return Segment(first=str(min(releases)), last=str(max(releases))) if releases else None


def _segment_index(segments: Sequence[Segment], text: str) -> int:
    """Return the index of the segment that contains a measured version."""
    return max(index for index, segment in enumerate(segments) if version(segment.first) <= version(text))
