"""Reduce lines of evidence to the measured cells of ``verdicts.json``; what many cells share is stored once."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vc2doctor.core.failure import Failure
from vc2doctor.core.names import mentioned
from vc2doctor.matrix.compiled import CellOutcome, MeasuredCell
from vc2doctor.matrix.evidence import EvidenceLine, pins
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES

_ADAPTER_FAILURES = {
    "different": "the reloaded adapter does not generate the same",
    "error": "saving, reloading or generating raises an error",
    "not reached": "the adapter was not saved",
}


class MeasuredCells(NamedTuple):
    """The cells, and the two tables that they refer to by index."""

    companions: tuple[dict[str, str], ...]
    outcomes: tuple[CellOutcome, ...]
    cells: tuple[MeasuredCell, ...]


def measured_cells(lines: Sequence[EvidenceLine]) -> MeasuredCells:
    """Return the measured cells of ``lines``, in their order."""
    companions: dict[str, tuple[int, dict[str, str]]] = {}
    outcomes: dict[str, tuple[int, CellOutcome]] = {}
    cells = []
    for line in lines:
        if not _speaks_for_its_stack(line):
            continue
        resolved = dict(sorted(line.resolved.items()))
        outcome = _outcome(line)
        cells.append(
            MeasuredCell(
                name=line.name,
                date=line.date,
                device=line.device,
                **line.cell.model_dump(),
                companions=companions.setdefault(str(resolved), (len(companions), resolved))[0],
                how=outcomes.setdefault(outcome.model_dump_json(), (len(outcomes), outcome))[0],
                beside=dict(sorted(line.door_packages.items())),
                asked=tuple(sorted(pins(line.asked))),
            )
        )
    return MeasuredCells(
        companions=tuple(resolved for _, resolved in companions.values()),
        outcomes=tuple(outcome for _, outcome in outcomes.values()),
        cells=tuple(cells),
    )


def _speaks_for_its_stack(line: EvidenceLine) -> bool:
    """Return whether a cell is a fact about its stack, and not about packages that were asked for beside it.

    A cell with such packages that cannot be installed, or in whose code the failure lies, is a fact about them.
    """
    if line.install != "installed":
        return not pins(line.asked)
    failures = [failure for failure in (line.import_failure, *line.failures.values()) if failure is not None]
    return line.trains("fp32") is True or not any(_is_of_others(failure, line.beside) for failure in failures)


def _is_of_others(failure: Failure, beside: Collection[str]) -> bool:
    """Return whether a failure lies in a package beside the stack, or its message blames one: peft names torchao."""
    return failure.package in beside or not mentioned(failure.message).isdisjoint(beside)


def _outcome(line: EvidenceLine) -> CellOutcome:
    trains = {recipe: line.trains(recipe) for recipe in DEFAULT_RECIPES}
    return CellOutcome(
        trains=tuple(recipe for recipe, is_good in trains.items() if is_good),
        fails={recipe: _failure(line, recipe) for recipe, is_good in trains.items() if is_good is False},
        doors=dict(line.door_outcomes),
    )


def _failure(line: EvidenceLine, recipe: str) -> str:
    """Return a description of how a cell fails under ``recipe``."""
    if line.install != "installed":
        return f"its packages cannot be installed ({line.install})"
    if line.import_failure is not None:
        return f"the import fails: {line.import_failure.message}"
    for name in ("fp32", recipe):
        outcome = line.recipes.get(name)
        if name in line.failures:
            return f"training under {name} raises an error: {line.failures[name].message}"
        if outcome not in ("finite", "unsupported", None):
            return f"the outcome of {name} is {outcome}"
    exception = f": {line.adapter_failure.message}" if line.adapter_failure else ""
    return f"{_ADAPTER_FAILURES[line.adapter]}{exception}"
