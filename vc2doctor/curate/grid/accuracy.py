"""Count how often the matrix is right about cells that were not measured: draw, predict, measure, compare."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.curate.grid.cells import CellSpec, key_of
from vc2doctor.curate.plan import extras_of
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import Wheels

NEIGHBORS = 3
"""Releases before and after the newest one on a date, from which a cell near that date is drawn."""
MAX_DRAWS = 10_000
"""Drawing stops then: if most cells were measured before, few new ones are left."""
MAX_REASON_LENGTH = 300


class Sample(Data):
    """How many cells to draw, and with which seed."""

    cells: int
    seed: int


class Prediction(Data):
    """The matrix's judgement on a cell before it was measured."""

    spec: CellSpec
    judgement: Judgement


class Result(Data):
    """A prediction and the measurement."""

    spec: CellSpec
    judgement: Judgement
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


def draw(
    wheels: Wheels, known: Iterable[EvidenceLine], torches: Sequence[str], pythons: Sequence[str], sample: Sample
) -> list[CellSpec]:
    """Return cells that were not measured: half of them uniform, half with releases of about the same date.

    Users mostly combine releases of the same date, but failures are more frequent between distant ones.
    """
    generator = random.Random(sample.seed)  # noqa: S311 - a sample, not a secret
    taken = {key_of(line) for line in known}
    specs: list[CellSpec] = []
    for _ in range(MAX_DRAWS):
        if len(specs) == sample.cells:
            break
        torch = generator.choice(torches)
        pick = _pick_uniform if len(specs) % 2 == 0 else _pick_same_date
        transformers, peft = pick(wheels, torch, generator)
        supported = [python for python in pythons if _has_wheel(wheels, torch, python)]
        if not supported:
            continue
        cell = Cell(python=generator.choice(supported), torch=torch, transformers=transformers, peft=peft)
        spec = CellSpec(cell=cell, extras=extras_of(torch))
        if spec.key not in taken:
            taken.add(spec.key)
            specs.append(spec)
    return specs


def draw_torches(wheels: Wheels, newest: str, limit: int, seed: int) -> list[str]:
    """Return ``limit`` random releases of torch up to ``newest``, the oldest first."""
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    releases = [text for text in wheels.ordered("torch") if Version(text) <= Version(newest)]
    return sorted(generator.sample(releases, min(limit, len(releases))), key=Version)


def predict(spec: CellSpec, resolved: Mapping[str, str] | None, matrix: Matrix, recipe: str) -> Prediction:
    """Return the matrix's prediction for a cell that is not installed yet.

    The first question is that of ``explain``, with the cell only: it can rule the installation out. The second is that
    of ``check``, with the versions that the resolver would install (``None``: it finds none).
    """
    cell = spec.cell
    versions = {"torch": cell.torch, "transformers": cell.transformers, "peft": cell.peft}
    judgement = judge(Combination(python=cell.python, versions=versions, installed=False), matrix, recipe)
    if resolved is not None and judgement.verdict is not Verdict.INCOMPATIBLE:
        judgement = judge(Combination(python=cell.python, versions={**versions, **resolved}), matrix, recipe)
    return Prediction(spec=spec, judgement=judgement)


def table(results: Sequence[Result]) -> list[str]:
    """Return the lines of the report: the confusion table, the rates, and every cell whose prediction was wrong."""
    counts = Counter((result.judgement.verdict, result.trains) for result in results)
    lines = [f"{'predicted':<14}{'trains':>8}{'fails':>8}"]
    lines += [f"{verdict.value:<14}{counts[verdict, True]:>8}{counts[verdict, False]:>8}" for verdict in Verdict]
    decided = sum(result.decided for result in results)
    right = sum(result.right for result in results)
    torches = sorted({result.spec.cell.torch for result in results}, key=Version)
    lines += ["", f"cells {len(results)}, on torch {', '.join(torches)}"]
    if decided:
        lines.append(f"right: {right} of {decided} decided ({right / decided:.1%})")
    undecided = len(results) - decided
    lines.append(f"unverified: {undecided} ({undecided / max(1, len(results)):.1%})")
    return [*lines, *(_describe(result) for result in results if not result.right)]


def _describe(result: Result) -> str:
    kind = "wrong" if result.decided else "unverified"
    reason = result.judgement.reason[:MAX_REASON_LENGTH]
    return f"{kind}: {result.spec.name}: predicted: {reason}; measured: {result.description}"


def _pick_uniform(wheels: Wheels, _: str, generator: random.Random) -> tuple[str, str]:
    return generator.choice(wheels.ordered("transformers")), generator.choice(wheels.ordered("peft"))


def _pick_same_date(wheels: Wheels, torch: str, generator: random.Random) -> tuple[str, str]:
    date = wheels.releases["torch"][torch].date
    return _pick_near(wheels, "transformers", date, generator), _pick_near(wheels, "peft", date, generator)


def _pick_near(wheels: Wheels, package: str, date: str, generator: random.Random) -> str:
    dates = {text: wheels.releases[package][text].date for text in wheels.ordered(package)}
    by_date = sorted(dates, key=lambda text: (dates[text], Version(text)))
    until = [index for index, text in enumerate(by_date) if dates[text] <= date]
    newest = until[-1] if until else 0
    return generator.choice(by_date[max(0, newest - NEIGHBORS) : newest + NEIGHBORS + 1])


def _has_wheel(wheels: Wheels, torch: str, python: str) -> bool:
    built_for = wheels.releases["torch"][torch].built_for
    return not built_for or python in built_for
