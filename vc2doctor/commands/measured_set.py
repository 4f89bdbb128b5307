"""The best set of versions inside given ranges that was measured to train."""

from collections.abc import Mapping

from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.measured_sets import preference, requirements_met, versions_of


class MeasuredSet(Data):
    """Versions that were measured to train together."""

    cell: str
    """The name of the measured cell."""
    date: str
    python: str
    device: str
    versions: dict[str, str]
    """The stack, and those packages of the program that were installed in the measurement."""
    beside: dict[str, str] = Field(default_factory=dict)
    """Requirements for packages of the program whose versions the measurement does not record: their windows."""


def best_measured(
    matrix: Matrix, ranges: Mapping[str, tuple[str, str]], wanted: Mapping[str, str], recipe: str
) -> MeasuredSet | None:
    """Return the best set whose versions lie in ``ranges`` (first and last release by package); ``None``: none does.

    Sets that meet most of the ``wanted`` requirements come first, then those that record most packages of ``ranges``,
    then those that train under most recipes, then the newest releases.
    """
    verdicts = matrix.verdicts
    found: list[tuple[tuple[object, ...], MeasuredSet]] = []
    for cell in verdicts.cells:
        versions = versions_of(cell, matrix)
        trains = verdicts.outcomes[cell.how].trains
        if recipe not in trains or not all(_lies_in(versions, name, ends) for name, ends in ranges.items()):
            continue
        beside = {name: f">={first},<={last}" for name, (first, last) in ranges.items() if name not in versions}
        named = {name: text for name, text in versions.items() if name in STACK_PACKAGES or name in ranges}
        measured = MeasuredSet(
            cell=cell.name, date=cell.date, python=cell.python, device=cell.device, versions=named, beside=beside
        )
        met = requirements_met(versions, wanted)
        found.append(((met, -len(beside), *preference(cell, matrix)), measured))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _lies_in(versions: Mapping[str, str], name: str, ends: tuple[str, str]) -> bool:
    """Return whether a version lies between two releases, both included; a package that is not there does."""
    return name not in versions or Version(ends[0]) <= Version(versions[name]) <= Version(ends[1])
