"""How often the matrix is right about cells that nobody measured: draws, predicts, measures, counts."""

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

_NEAR = 3
"""Releases to either side of the newest of a day, from which the near half is drawn."""
_MOST_TRIES = 10_000


class Sample(Data):
    """How many cells to draw, and with which seed."""

    cells: int
    seed: int


class Prediction(Data):
    """What the matrix said of a cell before it was measured."""

    asked: CellSpec
    judgement: Judgement


class Result(Data):
    """A prediction and what came out."""

    asked: CellSpec
    judgement: Judgement
    trains: bool
    description: str
    """How the cell ended."""

    @property
    def decided(self) -> bool:
        """Whether the matrix said anything."""
        return self.judgement.verdict is not Verdict.UNVERIFIED

    @property
    def right(self) -> bool:
        """Whether what it said came true."""
        return self.decided and (self.judgement.verdict is not Verdict.INCOMPATIBLE) is self.trains


def draw(
    wheels: Wheels, known: Iterable[EvidenceLine], torches: Sequence[str], pythons: Sequence[str], sample: Sample
) -> list[CellSpec]:
    """Return cells that nobody measured: half of them uniform, half near the diagonal of release dates."""
    generator = random.Random(sample.seed)  # noqa: S311 - a sample, not a secret
    taken = {key_of(line) for line in known}
    found: list[CellSpec] = []
    for _ in range(_MOST_TRIES):
        if len(found) == sample.cells:
            break
        torch = generator.choice(torches)
        pick = _uniform if len(found) % 2 == 0 else _near
        transformers, peft = pick(wheels, torch, generator)
        fitting = [python for python in pythons if _has_wheel(wheels, torch, python)]
        if not fitting:
            continue
        cell = Cell(python=generator.choice(fitting), torch=torch, transformers=transformers, peft=peft)
        asked = CellSpec(cell=cell, extras=extras_of(torch))
        if asked.key not in taken:
            taken.add(asked.key)
            found.append(asked)
    return found


def choose_torches(wheels: Wheels, newest: str, most: int, seed: int) -> list[str]:
    """Return ``most`` releases of torch up to ``newest``, drawn."""
    generator = random.Random(seed)  # noqa: S311 - as above
    there = [text for text in wheels.ordered("torch") if Version(text) <= Version(newest)]
    return sorted(generator.sample(there, min(most, len(there))), key=Version)


def predict(asked: CellSpec, resolved: Mapping[str, str] | None, matrix: Matrix, recipe: str) -> Prediction:
    """Return what the matrix says before anything is installed.

    First ``explain``, told the cell alone: what cannot be installed needs no resolver. Then ``check``, told what the
    resolver would make (``None``: nothing).
    """
    cell = asked.cell
    versions = {"torch": cell.torch, "transformers": cell.transformers, "peft": cell.peft}
    named = judge(Combination(python=cell.python, versions=versions, installed=False), matrix, recipe)
    if resolved is None or named.verdict is Verdict.INCOMPATIBLE:
        return Prediction(asked=asked, judgement=named)
    whole = Combination(python=cell.python, versions={**versions, **resolved})
    return Prediction(asked=asked, judgement=judge(whole, matrix, recipe))


def table(results: Sequence[Result]) -> list[str]:
    """Return the confusion table, the shares, and every error in words."""
    counts = Counter((result.judgement.verdict.value, result.trains) for result in results)
    lines = [f"{'predicted':<14}{'trains':>8}{'fails':>8}"]
    lines += [f"{one.value:<14}{counts[one.value, True]:>8}{counts[one.value, False]:>8}" for one in Verdict]
    decided = [result for result in results if result.decided]
    right = [result for result in results if result.right]
    lines.append("")
    lines.append(f"cells {len(results)}, on torch {', '.join(_torches(results))}")
    if decided:
        lines.append(f"right: {len(right)} of {len(decided)} decided ({len(right) / len(decided):.1%})")
    unknown = len(results) - len(decided)
    lines.append(f"unverified: {unknown} ({unknown / max(1, len(results)):.1%})")
    for result in results:
        if not result.right:
            kind = "wrong" if result.decided else "unverified"
            lines.append(f"{kind}: {result.asked.name}: {result.judgement.reason[:300]}; it {result.description}")
    return lines


def _torches(results: Sequence[Result]) -> list[str]:
    return sorted({result.asked.cell.torch for result in results}, key=Version)


def _uniform(wheels: Wheels, _: str, generator: random.Random) -> tuple[str, str]:
    return generator.choice(wheels.ordered("transformers")), generator.choice(wheels.ordered("peft"))


def _near(wheels: Wheels, torch: str, generator: random.Random) -> tuple[str, str]:
    day = wheels.releases["torch"][torch].date
    return _around(wheels, "transformers", day, generator), _around(wheels, "peft", day, generator)


def _around(wheels: Wheels, name: str, day: str, generator: random.Random) -> str:
    ordered = sorted(wheels.ordered(name), key=lambda text: (wheels.releases[name][text].date, Version(text)))
    before = [index for index, text in enumerate(ordered) if wheels.releases[name][text].date <= day]
    middle = before[-1] if before else 0
    near = ordered[max(0, middle - _NEAR) : middle + _NEAR + 1]
    return generator.choice(near)


def _has_wheel(wheels: Wheels, torch: str, python: str) -> bool:
    built_for = wheels.releases["torch"][torch].built_for
    return not built_for or python in built_for
