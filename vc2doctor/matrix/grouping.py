"""Join the possible conflicts of one package, so that a list of them is short."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, contains, version
from vc2doctor.matrix.judge import PossibleConflict
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import ReleaseRange, to_ranges
from vc2doctor.matrix.resolve import bounds, known_releases


class JoinedConflict(Data):
    """Possible conflicts with the same packages, for reasons that concern the same releases."""

    package: str
    """``accelerate``; or two packages that conflict together: ``torch and jinja2``."""
    releases: tuple[str, ...]
    """In words: ``up to 0.20.3``, ``0.21.0 and newer``; or specifiers, if the releases are not listed."""
    reasons: tuple[str, ...]
    """The first statement of each reason, without repetitions."""

    @property
    def where(self) -> str:
        """The condition in words: ``accelerate up to 0.20.3``."""
        return f"{self.package} {', '.join(self.releases)}".strip()


class _Region(NamedTuple):
    specifiers: tuple[str, ...]
    releases: frozenset[str]
    """The known releases that the specifiers match."""
    reasons: tuple[str, ...]


def joined_conflicts(
    conflicts: Iterable[PossibleConflict], matrix: Matrix, *, by_reason: bool
) -> tuple[JoinedConflict, ...]:
    """Return the conflicts joined by package.

    With ``by_reason`` a package has one entry for each reason whose releases another reason does not include.
    """
    by_package: dict[tuple[str, ...], list[PossibleConflict]] = defaultdict(list)
    for conflict in conflicts:
        by_package[tuple(conflict.missing)].append(conflict)
    joined: list[JoinedConflict] = []
    for names, members in by_package.items():
        wanted = [conflict.missing[names[0]] for conflict in members]
        if len(names) > 1 or ABSENT in wanted:
            joined += [
                JoinedConflict(package=where.removeprefix("with "), releases=(), reasons=_first_statements(alike))
                for where, alike in _by_condition(members).items()
            ]
        else:
            joined += _of_one_package(names[0], members, matrix, by_reason=by_reason)
    return tuple(joined)


def _by_condition(conflicts: Iterable[PossibleConflict]) -> dict[str, list[PossibleConflict]]:
    groups: dict[str, list[PossibleConflict]] = defaultdict(list)
    for conflict in conflicts:
        groups[conflict.where].append(conflict)
    return groups


def _of_one_package(
    name: str, conflicts: Sequence[PossibleConflict], matrix: Matrix, *, by_reason: bool
) -> list[JoinedConflict]:
    specifiers = [conflict.missing[name] for conflict in conflicts]
    # Minor versions of Python are few, and all of them are known.
    is_listed = name == "python" or bool(matrix.verdicts.releases.get(name))
    named = () if name in matrix.verdicts.releases else itertools.chain.from_iterable(map(bounds, specifiers))
    points = tuple(sorted({*known_releases(name, matrix), *named}, key=version))
    regions: dict[object, _Region] = {}
    for conflict, specifier in zip(conflicts, specifiers, strict=True):
        matching = frozenset(text for text in points if contains(specifier, text))
        # Specifiers that match the same known releases say the same; one that matches none stands for itself.
        key = matching or specifier
        before = regions.get(key, _Region((specifier,), matching, ()))
        reasons = tuple(dict.fromkeys((*before.reasons, *_first_statements([conflict]))))
        regions[key] = before._replace(reasons=reasons)
    largest = [region for region in regions.values() if not any(_lies_in(region, other) for other in regions.values())]
    if not by_reason:
        largest = [_union(largest)]
    return [
        JoinedConflict(package=name, releases=_in_words(region, points, is_listed=is_listed), reasons=region.reasons)
        for region in largest
    ]


def _lies_in(region: _Region, other: _Region) -> bool:
    return bool(region.releases) and region.releases < other.releases


def _union(regions: Sequence[_Region]) -> _Region:
    return _Region(
        tuple(dict.fromkeys(text for region in regions for text in region.specifiers)),
        frozenset().union(*(region.releases for region in regions)),
        tuple(dict.fromkeys(reason for region in regions for reason in region.reasons)),
    )


def _in_words(region: _Region, points: tuple[str, ...], *, is_listed: bool) -> tuple[str, ...]:
    if not is_listed or not region.releases:
        return tuple(text or "(any version)" for text in region.specifiers)
    return tuple(range_in_words(each, points) for each in to_ranges(set(region.releases), points))


def range_in_words(releases: ReleaseRange, known: Sequence[str]) -> str:
    """Return a range of the ``known`` releases in words; one that reaches to their ends is open."""
    first, last = releases
    if first == known[0]:
        return "(any version)" if last == known[-1] else f"up to {last}"
    if last == known[-1]:
        return f"{first} and newer"
    return closed_range(first, last)


def closed_range(first: str, last: str) -> str:
    """Return ``1.0 to 1.4``, or ``1.0`` if both are equal."""
    return first if first == last else f"{first} to {last}"


def _first_statements(conflicts: Iterable[PossibleConflict]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(conflict.reason.split("; ")[0] for conflict in conflicts))
