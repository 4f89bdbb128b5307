"""Count the cells that the plan measures until no combination is unverified, on more and more releases.

The shipped verdicts stand in for measurements. They hold every boundary that was found, so the plan meets the real
ones. The plan gets no symbols of the wheels. Run by ``nox -s matrix-growth``.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

from vc2doctor.core.failure import Failure, Missing
from vc2doctor.curate.compile import compile_matrix
from vc2doctor.curate.plan import plan
from vc2doctor.matrix import load
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import Release, Wheels

TORCH, RECIPE = "2.13.0", "bf16"
BATCH = 4
"""Cells that are measured between two plans."""
SIZES = (4, 6, 8, 12, 16, 24, 34)
"""Releases of peft; there are four times as many of transformers."""


class Growth(NamedTuple):
    """The measurements that one selection of releases needed."""

    product: int
    measured: int
    boundaries: int
    wrong: int
    """Verdicts that differ from the shipped ones in the end."""
    releases: int


def evenly_spread(releases: tuple[str, ...], size: int) -> tuple[str, ...]:
    """Return ``size`` of ``releases``, with both ends."""
    return tuple(dict.fromkeys(releases[round(k * (len(releases) - 1) / (size - 1))] for k in range(size)))


def measure(truth: Matrix, cell: Cell) -> EvidenceLine:
    """Return the line of evidence that a measurement of ``cell`` would give."""
    versions = {"torch": cell.torch, "transformers": cell.transformers, "peft": cell.peft}
    judgement = judge(Combination(python=cell.python, versions=versions, installed=False), truth, RECIPE)
    fails = judgement.verdict is Verdict.INCOMPATIBLE
    # Failures with one cause must look alike, as real ones do.
    cause = (*judgement.constraints, *judgement.issues, "measured")[0] if fails else ""
    failure = Failure(
        type="ImportError", message=cause, package="peft", missing=Missing(module="transformers", symbol=cause)
    )
    return EvidenceLine(
        schema=1,
        name=f"{cell.transformers} {cell.peft}",
        date="2026-01-01",
        worker="0",
        cell=cell,
        resolved={"numpy": "2.0.0"},
        platform="none",
        device="cpu",
        import_failure=failure if fails else None,
        recipes={} if fails else {"fp32": "finite", RECIPE: "finite"},
        adapter="not reached" if fails else "same",
        seconds=0.0,
    )


def measure_growth(truth: Matrix, transformers: tuple[str, ...], pefts: tuple[str, ...]) -> Growth:
    """Measure by the plan, from the four corners on, until it plans nothing more."""
    selected = {"torch": (TORCH,), "transformers": transformers, "peft": pefts}
    releases = {name: {text: Release(date="") for text in texts} for name, texts in selected.items()}
    wheels = Wheels(date="", releases=releases, required=(), provided=())
    corners = itertools.product((transformers[0], transformers[-1]), (pefts[0], pefts[-1]))
    lines = [
        measure(truth, Cell(python="3.11", torch=TORCH, transformers=release, peft=peft)) for release, peft in corners
    ]
    while True:
        compiled = Matrix(profiles={}, issues=(), verdicts=compile_matrix(lines, (), wheels))
        planned = plan(compiled, RECIPE, (TORCH,), BATCH)
        if not planned:
            break
        lines += [measure(truth, entry.cell) for entry in planned]
    return Growth(
        product=len(transformers) * len(pefts),
        measured=len(lines),
        boundaries=sum(len(segments) - 1 for segments in compiled.verdicts.segments.values()),
        wrong=sum(_disagree(truth, compiled, *stack) for stack in itertools.product(transformers, pefts)),
        releases=len(transformers) + len(pefts),
    )


def _disagree(truth: Matrix, compiled: Matrix, transformers: str, peft: str) -> bool:
    """Return whether only one of two matrices calls a combination incompatible."""
    versions = {"torch": TORCH, "transformers": transformers, "peft": peft}
    combination = Combination(python=None, versions=versions, installed=False)
    fails = [judge(combination, matrix, RECIPE).verdict is Verdict.INCOMPATIBLE for matrix in (truth, compiled)]
    return fails[0] != fails[1]


def main() -> None:
    """Print the table; with ``--plot FILE``, draw it as well."""
    truth = load.load(Path(sys.argv[sys.argv.index("--matrix") + 1]) if "--matrix" in sys.argv else load.shipped())
    releases = truth.verdicts.releases
    rows = []
    for size in SIZES:
        transformers, pefts = evenly_spread(releases["transformers"], size * 4), evenly_spread(releases["peft"], size)
        rows.append(measure_growth(truth, transformers, pefts))
        print(json.dumps(rows[-1]._asdict()))
    if "--plot" in sys.argv:
        draw(rows, Path(sys.argv[sys.argv.index("--plot") + 1]))


def draw(rows: list[Growth], path: Path) -> None:
    """Draw the measured cells over the product of releases, with two curves to compare."""
    import matplotlib as mpl  # noqa: PLC0415 - only the plot needs it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6, 4))
    products = [row.product for row in rows]
    bisection = [row.boundaries * math.log2(row.releases) for row in rows]
    axes.plot(products, products, "--", color="gray", label="every cell")
    axes.plot(products, [row.measured for row in rows], "o-", label="measured by the plan")
    axes.plot(products, bisection, ":", label="boundaries x log2(releases)")
    axes.set(xscale="log", yscale="log", xlabel="transformers x peft releases", ylabel="cells")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
