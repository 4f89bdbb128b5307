"""What the doctor judges combinations by: compiled from evidence, released wheels and known issues."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import Field

from vc2doctor.data import Data

AXES = ("torch", "transformers", "peft")
"""The packages of the stack."""
ABSENT = "absent"
"""In place of a specifier: the distribution is not installed."""
GPU = "gpu"
"""Stands among the versions of a combination where the machine has one: some releases cannot be imported without."""


class Constraint(Data):
    """A region where something fails, and why."""

    id: str
    kind: Literal["symbol", "declared", "install", "behaviour"]
    """``symbol``: one package imports what another lacks; ``declared``: one checks the version of another when it is
    imported; ``install``: the resolver or the installer gives up, which says nothing of what is installed already;
    ``behaviour``: measured only."""
    reason: str
    when: dict[str, str]
    """Specifiers, by distribution (or ``python``); all of them hold where it fails. None: everywhere. ``absent``: the
    distribution is not there."""
    beside: dict[str, str] = Field(default_factory=dict)
    """The same, as wide as the nearest measured combinations that work in its row leave it."""
    hull: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Lowest and highest measured failure by axis, of torch by minor release."""
    shields: tuple[dict[str, str], ...] = ()
    """Measured combinations that work, nearest to the region on their side: what lies behind one is not in doubt."""
    recipes: tuple[str, ...] = ()
    """The recipes that it spoils; none named means all of them."""
    failed: tuple[str, ...] = ()
    """Measured cells that fail by it: the ends of the region."""
    works: tuple[str, ...] = ()
    """The nearest measured cells beyond it that work."""

    def doubts(self, versions: Mapping[str, str]) -> bool:
        """Return whether ``versions`` lie beside the region, with no combination between that was measured to work."""
        if not self.beside or not holds(self.beside, versions):
            return False
        hull = {}
        for name, (low, high) in self.hull.items():
            here = grained(name, version(versions[name]))
            hull[name] = min(version(low), here), max(version(high), here)
        return not any(
            all(hull[name][0] <= version(text) <= hull[name][1] for name, text in shield.items())
            for shield in self.shields
        )

    def spoils(self, recipe: str) -> bool:
        """Return whether it decides about training under ``recipe``."""
        return not self.recipes or recipe in self.recipes


class How(Data):
    """How a measured cell ended: many cells share one."""

    trains: tuple[str, ...]
    """Recipes under which it trains."""
    fails: dict[str, str]
    """Recipes under which it does not, and what was told; the others were not measured."""


class Measured(Data):
    """One line of evidence, as short as judging needs it."""

    name: str
    date: str
    device: str
    python: str
    torch: str
    transformers: str
    peft: str
    leaned_on: int
    """Index into ``Verdicts.leaned_on``."""
    how: int
    """Index into ``Verdicts.hows``."""


class Segment(Data):
    """Consecutive releases of one package that behave alike."""

    first: str
    last: str


class Verdicts(Data):
    """Everything that judging needs, in one file."""

    schema_: Literal[1] = 1
    sources: str
    """SHA-256 of what it was compiled from."""
    releases: dict[str, tuple[str, ...]]
    """Known final releases by package, oldest first."""
    constraints: tuple[Constraint, ...]
    leaned_on: tuple[dict[str, str], ...]
    hows: tuple[How, ...]
    cells: tuple[Measured, ...]
    segments: dict[str, tuple[Segment, ...]]
    """By two packages (``torch transformers``): ranges of the second that the first cannot tell apart."""
    spans: dict[str, dict[str, tuple[Segment | None, ...]]]
    """By recipe and two packages, for each of those ranges: the oldest and the newest release of the first that were
    measured to train with it; ``None``: not one was."""

    @cached_property
    def _deciding(self) -> dict[tuple[str, bool], tuple[Constraint, ...]]:
        return {}

    def deciding(self, recipe: str, *, installed: bool) -> tuple[Constraint, ...]:
        """Return the constraints that decide about ``recipe``.

        Where all is installed, no resolver has a say; where only some of it is named, nothing is known to be absent.
        """
        key = recipe, installed
        if key not in self._deciding:
            self._deciding[key] = tuple(
                one
                for one in self.constraints
                if one.spoils(recipe) and (one.kind != "install" if installed else ABSENT not in one.when.values())
            )
        return self._deciding[key]

    @cached_property
    def by_stack(self) -> dict[tuple[Version, ...], list[Measured]]:
        """The cells of each torch, transformers and peft."""
        found: dict[tuple[Version, ...], list[Measured]] = defaultdict(list)
        for cell in self.cells:
            found[tuple(version(getattr(cell, axis)) for axis in AXES)].append(cell)
        return found

    @cached_property
    def ordered(self) -> dict[str, list[Version]]:
        """``releases``, parsed."""
        return {name: [version(text) for text in texts] for name, texts in self.releases.items()}

    @cached_property
    def _bounds(self) -> dict[str, tuple[list[Version], list[Version]]]:
        return {
            pair: ([version(one.first) for one in found], [version(one.last) for one in found])
            for pair, found in self.segments.items()
        }

    def segment(self, pair: str, text: str) -> int | None:
        """Return the index of the segment that a version of the second of two packages lies in.

        ``None``: it is older or newer than what was measured.
        A version that lies between two segments belongs to the older one; a patch release of the newest or the oldest
        measured minor release belongs to that.
        """
        firsts, lasts = self._bounds.get(pair, ([], []))
        found = version(text)
        if not firsts or side_of(found, firsts[0], lasts[-1]):
            return None
        index = max(0, bisect_right(firsts, found) - 1)
        after = firsts[index + 1] if index + 1 < len(firsts) else None
        # A release that nobody listed, such as a patch of the next segment's first.
        lies_after = after is not None and found > lasts[index] and found.release[:2] == after.release[:2]
        return index + 1 if lies_after else index

    def position(self, axis: str, text: str) -> int:
        """Return where a version stands among the known releases."""
        return bisect_left(self.ordered.get(axis, []), version(text))


def holds(when: Mapping[str, str], versions: Mapping[str, str]) -> bool:
    """Return whether every specifier of ``when`` holds for ``versions``; of what is not there, only ``absent`` does."""
    # A plain loop: this is what thousands of judgements spend their time in.
    for name, wanted in when.items():
        if wanted == ABSENT:
            if name in versions:
                return False
        elif name not in versions or not contains(wanted, versions[name]):
            return False
    return True


@lru_cache(maxsize=65536)
def version(text: str) -> Version:
    """Return the public part of a version, parsed once."""
    return Version(Version(text).public)


@lru_cache(maxsize=4096)
def specifier(text: str) -> SpecifierSet:
    """Return a specifier set, parsed once."""
    return SpecifierSet(text)


def side_of(found: Version, first: Version, last: Version) -> str:
    """Return on which side of a range a version lies, or nothing: a patch release lies where its minor release does."""
    if found < first and found.release[:2] != first.release[:2]:
        return "older"
    return "newer" if found > last and found.release[:2] != last.release[:2] else ""


def grained(name: str, found: Version) -> Version:
    """Return a version as finely as it matters: patch releases of torch change no interface."""
    return Version(f"{found.major}.{found.minor}") if name == "torch" else found


@lru_cache(maxsize=262144)
def contains(wanted: str, found: str) -> bool:
    """Return whether the specifier ``wanted`` holds for the version ``found``, pre-releases as well."""
    return specifier(wanted).contains(version(found), prereleases=True)
