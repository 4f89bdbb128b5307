"""The compiled matrix, ``verdicts.json``: what the doctor judges combinations by."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, holds, interface_version, side_of, version
from vc2doctor.target.doors import LOOP

GPU = "gpu"
"""A key among the versions of a combination if the machine has a GPU: some releases cannot be imported without one."""


class Constraint(Data):
    """A region of versions in which something fails, and why."""

    id: str
    kind: Literal["symbol", "declared", "install", "behaviour"]
    """``symbol``: one package imports a symbol that the other lacks. ``declared``: one package compares the version of
    the other, and raises an error. ``install``: the resolver or the installer gives up; this does not concern packages
    that are installed already. ``behaviour``: found by measurement only."""
    reason: str
    when: dict[str, str]
    """The region: specifiers by distribution (or ``python``), which must all match. ``absent`` means that the
    distribution is not installed. An empty mapping is the region of all versions."""
    uncertain_zone: dict[str, str] = Field(default_factory=dict)
    """A wider region in the same form: along each axis it reaches to the nearest measured success."""
    failure_bounds: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Lowest and highest version that was measured to fail, by axis; for torch the minor release."""
    nearest_passes: tuple[dict[str, str], ...] = ()
    """Measured combinations that work and are nearest to the region. What lies behind one of them is not uncertain."""
    recipes: tuple[str, ...] = ()
    """The recipes that fail; empty means all of them."""
    door: str = LOOP
    """The door that fails. What the loop runs into concerns every door."""
    failed: tuple[str, ...] = ()
    """Names of the measured cells at the two ends of the region. They fail."""
    works: tuple[str, ...] = ()
    """Names of the nearest measured cells outside the region. They work."""

    def is_uncertain(self, versions: Mapping[str, str]) -> bool:
        """Return whether ``versions`` lie near the region, and no measured success lies between."""
        if not self.uncertain_zone or not holds(self.uncertain_zone, versions):
            return False
        # The smallest box around the measured failures and `versions`: a success inside it lies between the two.
        box = {}
        for name, (low, high) in self.failure_bounds.items():
            position = interface_version(name, version(versions[name]))
            box[name] = min(version(low), position), max(version(high), position)
        return not any(
            all(box[name][0] <= version(text) <= box[name][1] for name, text in passing_cell.items())
            for passing_cell in self.nearest_passes
        )

    def affects(self, recipe: str) -> bool:
        """Return whether training under ``recipe`` fails in the region."""
        return not self.recipes or recipe in self.recipes


class CellOutcome(Data):
    """How a measured cell ended. Many cells share one outcome, so outcomes are stored once."""

    trains: tuple[str, ...]
    """Recipes under which the cell trains."""
    fails: dict[str, str]
    """Recipes under which the cell does not train, with a description. Recipes in neither field were not measured."""
    doors: dict[str, str] = Field(default_factory=dict)
    """How each door ended (``passed``, ``failed``); the plain loop is not one of them, and others were not tried."""


class MeasuredCell(Data):
    """One line of evidence, reduced to what judging needs."""

    name: str
    date: str
    device: str
    python: str
    torch: str
    transformers: str
    peft: str
    companions: int
    """Index into ``Verdicts.companions``."""
    how: int
    """Index into ``Verdicts.outcomes``."""
    beside: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that only doors need, such as trl, datasets and pyarrow."""
    asked: tuple[str, ...] = ()
    """The packages beside the stack whose versions were chosen for this cell; the resolver chose all others."""


class Segment(Data):
    """Consecutive releases of one package that behave alike."""

    first: str
    last: str


class Verdicts(Data):
    """The compiled matrix: everything that judging needs, in one file."""

    schema_: Literal[3] = 3
    sources: str
    """SHA-256 of the files that it was compiled from."""
    measured: str = ""
    """The day of the newest measurement: ``2026-11-25``; empty: there is none."""
    released: str = ""
    """The day on which the lists of releases were read from the package index."""
    unseen_releases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Releases by package that were uploaded after the newest measurement."""
    releases: dict[str, tuple[str, ...]]
    """Known final releases by package, oldest first: of the stack, and of every package whose wheels were read."""
    constraints: tuple[Constraint, ...]
    companions: tuple[dict[str, str], ...]
    """Sets of versions that the resolver chose beside the stack."""
    outcomes: tuple[CellOutcome, ...]
    cells: tuple[MeasuredCell, ...]
    segments: dict[str, tuple[Segment, ...]]
    """By pair of packages (``torch transformers``): ranges of the second package that behave alike with the first."""
    spans: dict[str, dict[str, tuple[Segment | None, ...]]]
    """By recipe and pair, one entry for each segment: the oldest and the newest release of the first package that was
    measured to train with a release of the segment; ``None``: no release was."""

    @cached_property
    def _constraints_by_question(self) -> dict[tuple[str, bool, tuple[str, ...]], tuple[Constraint, ...]]:
        return {}

    def constraints_for(
        self, recipe: str, *, installed: bool, doors: tuple[str, ...] = (LOOP,)
    ) -> tuple[Constraint, ...]:
        """Return the constraints that can rule out training under ``recipe`` through one of ``doors``.

        Only the constraints of the doors themselves are returned, without those of the doors that they go through.
        Constraints of the resolver do not concern packages that are installed already. If the user only names some
        packages (``installed=False``), the others may be there, so constraints on absent packages do not count.
        """
        key = recipe, installed, doors
        if key not in self._constraints_by_question:
            self._constraints_by_question[key] = tuple(
                constraint
                for constraint in self.constraints
                if constraint.affects(recipe)
                and constraint.door in doors
                and (constraint.kind != "install" if installed else ABSENT not in constraint.when.values())
            )
        return self._constraints_by_question[key]

    @cached_property
    def cells_by_stack(self) -> dict[tuple[Version, ...], list[MeasuredCell]]:
        """The measured cells by (torch, transformers, peft); local parts of versions do not count."""
        cells: dict[tuple[Version, ...], list[MeasuredCell]] = defaultdict(list)
        for cell in self.cells:
            cells[tuple(version(getattr(cell, axis)) for axis in STACK_PACKAGES)].append(cell)
        return cells

    @property
    def torches(self) -> tuple[str, ...]:
        """Every measured release of torch, the newest first."""
        return tuple(str(release) for release in sorted({version(cell.torch) for cell in self.cells}, reverse=True))

    def measured_range(self, axis: str) -> tuple[str, str]:
        """Return the oldest and the newest measured release of a package of the stack, or of ``python``.

        Empty texts: there is none.
        """
        if axis == "python":
            pythons = self._measured_pythons
            return (pythons[0], pythons[-1]) if pythons else ("", "")
        partner = next(name for name in STACK_PACKAGES if name != axis)
        segments = self.segments.get(f"{partner} {axis}", ())
        return (segments[0].first, segments[-1].last) if segments else ("", "")

    @cached_property
    def _measured_pythons(self) -> list[str]:
        return sorted({cell.python for cell in self.cells}, key=version)

    @cached_property
    def _parsed_releases(self) -> dict[str, list[Version]]:
        return {name: [version(text) for text in texts] for name, texts in self.releases.items()}

    @cached_property
    def _segment_bounds(self) -> dict[str, tuple[list[Version], list[Version]]]:
        return {
            pair: ([version(segment.first) for segment in segments], [version(segment.last) for segment in segments])
            for pair, segments in self.segments.items()
        }

    def segment_index(self, pair: str, text: str) -> int | None:
        """Return the index of the segment that contains a version of the second package of ``pair``.

        ``None``: the version is older or newer than every measured one. A version between two segments belongs to the
        older one. A patch release of the oldest or newest measured minor release belongs to that release.
        """
        firsts, lasts = self._segment_bounds.get(pair, ([], []))
        release = version(text)
        if not firsts or side_of(release, firsts[0], lasts[-1]):
            return None
        index = max(0, bisect_right(firsts, release) - 1)
        following = firsts[index + 1] if index + 1 < len(firsts) else None
        # An unlisted release may precede the first known patch of its own minor release: it belongs to that segment.
        belongs_to_next = (
            following is not None and release > lasts[index] and release.release[:2] == following.release[:2]
        )
        return index + 1 if belongs_to_next else index

    def release_index(self, package: str, text: str) -> int:
        """Return the position of a version among the known releases of ``package``."""
        return bisect_left(self._parsed_releases.get(package, []), version(text))
