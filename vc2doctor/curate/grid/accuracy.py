"""Count how often the matrix is right about cells that were not measured: predict, measure, compare, by door."""

from collections import Counter
from collections.abc import Mapping, Sequence

from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.curate.grid.cells import CellSpec
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.target.doors import LOOP

COUNTED_DOORS = (LOOP, "trainer")
"""The doors whose predictions are counted: every measured cell is tried through them."""
MAX_REASON_LENGTH = 300


class Prediction(Data):
    """The matrix's judgement on one door of a cell, before it was measured."""

    spec: CellSpec
    door: str
    judgement: Judgement


class Result(Prediction):
    """A prediction and the measurement."""

    trains: bool
    description: str
    """How the cell ended."""

    @property
    def decided(self) -> bool:
        """Whether the matrix predicted anything."""
        return self.judgement.verdict is not Verdict.UNVERIFIED

    @property
    def right(self) -> bool:
        """Whether the matrix predicted the measurement."""
        return self.decided and (self.judgement.verdict is not Verdict.INCOMPATIBLE) is self.trains

    @property
    def falsely_fit(self) -> bool:
        """Whether the matrix said that a cell trains which does not."""
        return self.decided and self.judgement.verdict is not Verdict.INCOMPATIBLE and not self.trains


def predict(
    spec: CellSpec, resolved: Mapping[str, str] | None, matrix: Matrix, recipe: str, door: str = LOOP
) -> Prediction:
    """Return the matrix's prediction for a door of a cell that is not installed yet.

    The first question is that of ``explain``, with the versions that the cell asks for: it can rule the installation
    out. The second is that of ``check``, with the versions that the resolver would install (``None``: it finds none).
    """
    cell, doors = spec.cell, tuple(name for name in (door,) if name != LOOP)
    # An index of the user's can have another build of torch than the public one.
    versions = {**spec.pinned, **({"torch": resolved["torch"]} if resolved else {})}
    judgement = judge(Combination(python=cell.python, versions=versions, installed=False), matrix, recipe, doors)
    if resolved is not None and judgement.verdict is not Verdict.INCOMPATIBLE:
        judgement = judge(Combination(python=cell.python, versions={**versions, **resolved}), matrix, recipe, doors)
    return Prediction(spec=spec, door=door, judgement=judgement)


def measured(line: EvidenceLine, recipe: str, door: str) -> bool | None:
    """Return whether a cell was measured to train through a door; ``None``: this line does not say."""
    trains = line.trains(recipe)
    if door == LOOP or not trains:
        return trains
    outcome = (line.doors or {}).get(door)
    return None if outcome in (None, "unsupported") else outcome == "passed"


def table(results: Sequence[Result]) -> list[str]:
    """Return the lines of the report: for each door the confusion table, the rates, and every wrong prediction."""
    lines = []
    for door in dict.fromkeys(result.door for result in results):
        lines += [f"door: {door}", *_table_of_door([result for result in results if result.door == door]), ""]
    return lines[:-1]


def _table_of_door(results: Sequence[Result]) -> list[str]:
    counts = Counter((result.judgement.verdict, result.trains) for result in results)
    lines = [f"{'predicted':<14}{'trains':>8}{'fails':>8}"]
    lines += [f"{verdict.value:<14}{counts[verdict, True]:>8}{counts[verdict, False]:>8}" for verdict in Verdict]
    decided = sum(result.decided for result in results)
    right, falsely_fit = sum(result.right for result in results), sum(result.falsely_fit for result in results)
    torches = sorted({result.spec.cell.torch for result in results}, key=Version)
    lines += ["", f"cells {len(results)}, on torch {', '.join(torches)}"]
    if decided:
        lines.append(f"right: {right} of {decided} decided ({right / decided:.1%})")
    undecided = len(results) - decided
    lines += [
        f"unverified: {undecided} of {len(results)} asked ({undecided / max(1, len(results)):.1%})",
        f"falsely fit: {falsely_fit} of {len(results)} asked",
    ]
    return [*lines, *(_describe(result) for result in results if not result.right)]


def _describe(result: Result) -> str:
    kind = "falsely fit" if result.falsely_fit else "wrong" if result.decided else "unverified"
    reason = result.judgement.reason[:MAX_REASON_LENGTH]
    return f"{kind}: {result.spec.name}: predicted: {reason}; measured: {result.description}"
