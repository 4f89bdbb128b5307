"""Search for the smallest change of versions that works: real releases, from the culprit outward, and deterministic.

A candidate is a set of packages with a new version for each. Fewer packages come first, then those that leave the stack
as it is, then those that leave fewer warnings, then those that move fewer releases. Cheap tests come before the judge:
a region of failure is one bit, and each version of a package has the mask of the regions that it allows.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from packaging.version import Version

from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, contains, version
from vc2doctor.matrix.compiled import GPU
from vc2doctor.remedies.question import Question

MAX_PACKAGES = 3
"""Packages that one remedy changes. A set that needs more has little in common with the installed one."""
TORCH_WEIGHT = 3
"""torch counts like three packages: it is the largest one, and it depends on the driver of the GPU."""
MAX_STEPS = 60_000
"""Versions that are tried for one group of sets of packages: about a quarter of a second."""
MAX_JUDGED = 400
"""Candidates of one group that are judged: about a tenth of a second."""
MAX_RAISED = 2
"""Packages of an alternative that changes more of them than the first remedy does, but lowers none."""


class Candidate(NamedTuple):
    """New versions, with what decides their order. Smaller is better."""

    warnings: int
    """Known issues that break some training code with these versions."""
    moves: int
    """Releases between the old and the new versions, summed."""
    downgrades: int
    changes: tuple[tuple[str, str], ...]


class Choice(NamedTuple):
    """One version that a package may take."""

    moves: int
    downgrade: int
    text: str
    conflicting: frozenset[str]
    """The packages whose present versions do not agree with it by what is declared; they have to change as well."""


def smallest_changes(question: Question, limit: int) -> list[dict[str, str]]:
    """Return up to ``limit`` changes that solve ``question``, the smallest first; each changes other packages.

    The first change needs the fewest packages. A further one needs as few, or it changes two packages and only raises
    versions. None contains all packages of an earlier one.
    """
    found: list[dict[str, str]] = []
    space = _Space(question)
    for size, sets in space.groups():
        if found and size > max(_size(found[0]), MAX_RAISED):
            break
        judged = 0
        remaining = [names for names in sets if not any(earlier.keys() <= set(names) for earlier in found)]
        for candidate in space.candidates(remaining):
            changes = dict(candidate.changes)
            is_larger = bool(found) and size > _size(found[0])
            if any(earlier.keys() <= changes.keys() for earlier in found) or (is_larger and candidate.downgrades):
                continue
            judged += 1
            if judged > MAX_JUDGED or len(found) == limit:
                break
            if question.is_solved_by(changes):
                found.append(changes)
    return found


class _Regions:
    """Regions of versions, as bits: a set of versions lies in a region if every named package leaves its bit set."""

    def __init__(self, regions: Sequence[Mapping[str, str]], versions: Mapping[str, str]) -> None:
        self._regions = regions
        self._versions = versions
        self._masks: dict[tuple[str, str | None], int] = {}
        self._names = sorted({name for when in regions for name in when})

    def of_kept(self, changed: Sequence[str]) -> int:
        """Return the mask of the packages that stay."""
        mask = (1 << len(self._regions)) - 1
        for name in self._names:
            if name not in changed:
                mask &= self.of(name, self._versions.get(name))
        return mask

    def of(self, name: str, text: str | None) -> int:
        """Return the mask of ``name`` in one version; ``None``: it is absent."""
        key = name, text
        if key not in self._masks:
            self._masks[key] = _bits(_may_hold(when.get(name), text) for when in self._regions)
        return self._masks[key]

    def naming(self, names: Sequence[str]) -> int:
        """Return the bits of the regions that name one of ``names``."""
        return _bits(not when.keys().isdisjoint(names) for when in self._regions)


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << index for index, flag in enumerate(flags) if flag)


def _may_hold(specifier: str | None, text: str | None) -> bool:
    """Return whether a condition of a region holds for a version; ``None``: there is no condition, no version."""
    if specifier is None:
        return True
    if specifier == ABSENT or text is None:
        return specifier == ABSENT and text is None
    return contains(specifier, text)


class _Space:
    """The versions that a remedy may choose among."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._versions = question.combination.named
        self._hard = _Regions((*question.regions, *question.resolver_regions), self._versions)
        resolver_bits = (1 << len(question.resolver_regions)) - 1
        self._resolver_bits = resolver_bits << len(question.regions)
        self._warned = _Regions(question.warned_regions, self._versions)
        self._requires = question.requires_of_installed
        self._steps_left = 0

    def groups(self) -> Iterator[tuple[int, list[tuple[str, ...]]]]:
        """Yield the sets of packages that meet every conflict, in groups of equally good ones, the best first."""
        others = [name for name in self._choices if name != "torch"]
        sets: list[tuple[str, ...]] = []
        for size in range(MAX_PACKAGES + 1):
            sets += itertools.combinations(others, size)
        if "torch" in self._choices:
            sets += [("torch", *names) for names in sets if len(names) < MAX_PACKAGES]
        solving = [names for names in sets if names and self._meets_every_conflict(names)]
        for cost, group in itertools.groupby(sorted(solving, key=_cost), key=_cost):
            yield cost[0], list(group)

    def _meets_every_conflict(self, names: Sequence[str]) -> bool:
        return all(not conflict.isdisjoint(names) for conflict in self._question.conflicts)

    @cached_property
    def _choices(self) -> dict[str, list[Choice]]:
        """The packages that may change, with the versions that they may take, the nearest first."""
        named = {name for conflict in self._question.conflicts for name in conflict}
        present = {*self._versions, *named, *self._question.goal.wanted} - {"python", GPU}
        choices = {name: list(self._choices_of(name)) for name in sorted(present)}
        return {name: sorted(texts) for name, texts in choices.items() if texts}

    def _choices_of(self, package: str) -> Iterator[Choice]:
        """Yield the versions that ``package`` may take, with the packages that would have to change as well."""
        releases = self._question.releases(package)
        current = self._versions.get(package)
        present = None if current is None else version(current)
        position = len(releases) if present is None else sum(Version(text) < present for text in releases)
        # Between two releases, one step leads to either of them.
        is_listed = position < len(releases) and Version(releases[position]) == present
        for index, text in enumerate(releases):
            if Version(text) == present or not self._is_wanted(package, text):
                continue
            moves = abs(index - position) + (0 if is_listed or index < position else 1)
            yield Choice(moves, int(index < position), text, self._conflicting(package, text))

    def _is_wanted(self, package: str, text: str) -> bool:
        return contains(self._question.goal.wanted.get(package, ""), text)

    def _conflicting(self, package: str, text: str) -> frozenset[str]:
        by_requirers = {
            entry.package
            for entry in self._requires
            if entry.dependency == package and entry.package != package and not contains(entry.specifier, text)
        }
        by_requirements = {
            entry.dependency
            for entry in self._question.requires_of(package, text)
            if self._question.is_unmet(entry, self._versions)
        }
        return frozenset(by_requirers | by_requirements)

    def candidates(self, sets: Sequence[tuple[str, ...]]) -> list[Candidate]:
        """Return what passes the cheap tests for some sets of packages, the best first."""
        self._steps_left = MAX_STEPS
        return sorted(candidate for names in sets for candidate in self._of_packages(names))

    def _of_packages(self, names: tuple[str, ...]) -> Iterator[Candidate]:
        domains = {
            name: [choice for choice in self._choices[name] if choice.conflicting <= set(names)] for name in names
        }
        # The package with the fewest choices comes first: what it rules out is not tried again and again.
        order = sorted(names, key=lambda name: (len(domains[name]), name))
        irrelevant = self._resolver_bits & ~self._hard.naming(names)
        later = [self._hard.naming(order[index + 1 :]) for index in range(len(order))]

        def extend(chosen: dict[str, Choice], hard: int, warned: int) -> Iterator[Candidate]:
            depth = len(chosen)
            if depth == len(order):
                yield _candidate(chosen, warned)
                return
            name = order[depth]
            for choice in domains[name]:
                self._steps_left -= 1
                if self._steps_left < 0:
                    return
                mask = hard & self._hard.of(name, choice.text)
                if not mask & ~later[depth] and self._agrees(name, choice.text, chosen):
                    yield from extend(
                        {**chosen, name: choice}, mask, warned and warned & self._warned.of(name, choice.text)
                    )

        yield from extend({}, self._hard.of_kept(names) & ~irrelevant, self._warned.of_kept(names))

    def _agrees(self, name: str, text: str, chosen: Mapping[str, Choice]) -> bool:
        """Return whether a version and those that were chosen before meet each other's requirements."""
        own = self._specifiers(name, text)
        for other, choice in chosen.items():
            if other in own and not contains(own[other], choice.text):
                return False
            wanted = self._specifiers(other, choice.text).get(name)
            if wanted is not None and not contains(wanted, text):
                return False
        return True

    def _specifiers(self, package: str, text: str) -> Mapping[str, str]:
        """Return what a release requires, by distribution."""
        release = self._question.matrix.wheels.release(package, text)
        return release.requires if release is not None else {}


def _candidate(chosen: Mapping[str, Choice], warned: int) -> Candidate:
    choices = chosen.values()
    return Candidate(
        warnings=warned.bit_count(),
        moves=sum([choice.moves for choice in choices]),
        downgrades=sum([choice.downgrade for choice in choices]),
        changes=tuple(sorted([(name, choice.text) for name, choice in chosen.items()])),
    )


def _cost(names: Sequence[str]) -> tuple[int, int, int]:
    """Return the sorting key of a set of packages: how many they are, and how many of them are of the stack."""
    return _size(names), len(names), len(set(names) & set(STACK_PACKAGES))


def _size(names: Collection[str]) -> int:
    return len(names) + (TORCH_WEIGHT - 1 if "torch" in names else 0)
