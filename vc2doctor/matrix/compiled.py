"""What the doctor judges combinations by: compiled from evidence, released wheels and known issues."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, holds, interface_version, side_of, version

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
    uncertain_zone: dict[str, str] = Field(default_factory=dict)
    """The same, as wide as the nearest measured combinations that work in its row leave it."""
    failure_bounds: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Lowest and highest measured failure by axis, of torch by minor release."""
    nearest_passes: tuple[dict[str, str], ...] = ()
    """Measured combinations that work, nearest to the region on their side: what lies behind one is not in doubt."""
    recipes: tuple[str, ...] = ()
    """The recipes that it spoils; none named means all of them."""
    failed: tuple[str, ...] = ()
    """Measured cells that fail by it: the ends of the region."""
    works: tuple[str, ...] = ()
    """The nearest measured cells beyond it that work."""

    def is_uncertain(self, versions: Mapping[str, str]) -> bool:
        """Return whether ``versions`` lie beside the region, with no combination between that was measured to work."""
        if not self.uncertain_zone or not holds(self.uncertain_zone, versions):
            return False
        failure_bounds = {}
        for name, (low, high) in self.failure_bounds.items():
            here = interface_version(name, version(versions[name]))
            failure_bounds[name] = min(version(low), here), max(version(high), here)
        return not any(
            all(
                failure_bounds[name][0] <= version(text) <= failure_bounds[name][1]
                for name, text in passing_cell.items()
            )
            for passing_cell in self.nearest_passes
        )

    def affects(self, recipe: str) -> bool:
        """Return whether it decides about training under ``recipe``."""
        return not self.recipes or recipe in self.recipes


class CellOutcome(Data):
    """How a measured cell ended: many cells share one."""

    trains: tuple[str, ...]
    """Recipes under which it trains."""
    fails: dict[str, str]
    """Recipes under which it does not, and what was told; the others were not measured."""


class MeasuredCell(Data):
    """One line of evidence, as short as judging needs it."""

    name: str
    date: str
    device: str
    python: str
    torch: str
    transformers: str
    peft: str
    companions: int
    """Index into ``Verdicts.leaned_on``."""
    how: int
    """Index into ``Verdicts.hows``."""


class Segment(Data):
    """Consecutive releases of one package that behave alike."""

    first: str
    last: str


class Verdicts(Data):
    """Everything that judging needs, in one file."""

    schema_: Literal[2] = 2
    sources: str
    """SHA-256 of what it was compiled from."""
    releases: dict[str, tuple[str, ...]]
    """Known final releases by package, oldest first."""
    constraints: tuple[Constraint, ...]
    companions: tuple[dict[str, str], ...]
    outcomes: tuple[CellOutcome, ...]
    cells: tuple[MeasuredCell, ...]
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
                if one.affects(recipe) and (one.kind != "install" if installed else ABSENT not in one.when.values())
            )
        return self._deciding[key]

    @cached_property
    def by_stack(self) -> dict[tuple[Version, ...], list[MeasuredCell]]:
        """The cells of each torch, transformers and peft."""
        found: dict[tuple[Version, ...], list[MeasuredCell]] = defaultdict(list)
        for cell in self.cells:
            found[tuple(version(getattr(cell, axis)) for axis in STACK_PACKAGES)].append(cell)
        return found

    @property
    def torches(self) -> tuple[str, ...]:
        """Every torch that was measured, the newest first."""
        return tuple(str(found) for found in sorted({version(cell.torch) for cell in self.cells}, reverse=True))

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
