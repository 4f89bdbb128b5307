"""How many cells the plan measures before nothing is unverified, on ever more releases of transformers and peft.

The shipped verdicts answer in place of a measurement: they hold every boundary that was found, so the plan meets the
real ones. Nothing that the wheels say is given to it. Run by ``nox -s matrix-growth``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from vc2doctor.core.failure import Failure, Missing
from vc2doctor.curate.compile import compile_matrix
from vc2doctor.curate.plan import plan
from vc2doctor.matrix import load
from vc2doctor.matrix.evidence import Cell, EvidenceLine
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import Release, Wheels

TORCH, RECIPE, BATCH = "2.13.0", "bf16", 4
SIZES = (4, 6, 8, 12, 16, 24, 34)


def thinned(releases: tuple[str, ...], size: int) -> tuple[str, ...]:
    """Return ``size`` of ``releases``, evenly spread, both ends among them."""
    return tuple(dict.fromkeys(releases[round(k * (len(releases) - 1) / (size - 1))] for k in range(size)))


def measured(truth: Matrix, cell: Cell) -> EvidenceLine:
    """Return what a measurement of ``cell`` would give."""
    versions = {"torch": cell.torch, "transformers": cell.transformers, "peft": cell.peft}
    found = judge(Combination(python=cell.python, versions=versions, installed=False), truth, RECIPE)
    fails = found.verdict is Verdict.INCOMPATIBLE
    what = (*found.constraints, *found.issues, "measured")[0] if fails else ""
    failure = Failure(
        type="ImportError", message=what, package="peft", missing=Missing(module="transformers", symbol=what)
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


def needed(truth: Matrix, transformers: tuple[str, ...], peft: tuple[str, ...]) -> tuple[int, int, int]:
    """Return how many cells were measured, how many boundaries that showed, and how many verdicts are wrong then."""
    named = {"torch": (TORCH,), "transformers": transformers, "peft": peft}
    releases = {name: {text: Release(date="") for text in texts} for name, texts in named.items()}
    wheels = Wheels(date="", releases=releases, required=(), provided=())
    ends = [(transformers[i], peft[j]) for i in (0, -1) for j in (0, -1)]
    lines = [measured(truth, Cell(python="3.11", torch=TORCH, transformers=one, peft=other)) for one, other in ends]
    while True:
        known = Matrix(profiles={}, issues=(), verdicts=compile_matrix(lines, (), wheels))
        wanted = plan(known, RECIPE, (TORCH,), BATCH)
        if not wanted:
            break
        lines += [measured(truth, one.cell) for one in wanted]
    boundaries = sum(len(found) - 1 for found in known.verdicts.segments.values())
    wrong = sum(_differs(truth, known, one, other) for one in transformers for other in peft)
    return len(lines), boundaries, wrong


def _differs(truth: Matrix, known: Matrix, transformers: str, peft: str) -> bool:
    versions = {"torch": TORCH, "transformers": transformers, "peft": peft}
    combination = Combination(python=None, versions=versions, installed=False)
    fails = [judge(combination, matrix, RECIPE).verdict is Verdict.INCOMPATIBLE for matrix in (truth, known)]
    return fails[0] != fails[1]


def main() -> None:
    """Print the table, and draw it where matplotlib is there."""
    truth = load.load(Path(sys.argv[sys.argv.index("--matrix") + 1]) if "--matrix" in sys.argv else load.shipped())
    releases = truth.verdicts.releases
    rows = []
    for size in SIZES:
        chosen = thinned(releases["transformers"], size * 4), thinned(releases["peft"], size)
        cells, boundaries, wrong = needed(truth, *chosen)
        rows.append((len(chosen[0]) * len(chosen[1]), cells, boundaries, wrong, len(chosen[0]) + len(chosen[1])))
        print(json.dumps(dict(zip(("product", "measured", "boundaries", "wrong", "releases"), rows[-1], strict=True))))
    if "--plot" in sys.argv:
        draw(rows, Path(sys.argv[sys.argv.index("--plot") + 1]))


def draw(rows: list[tuple[int, int, int, int, int]], path: Path) -> None:
    """Draw measured cells over the product of axes, beside boundaries times the logarithm of the releases."""
    import matplotlib as mpl  # noqa: PLC0415 - only the plot needs it

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6, 4))
    product = [row[0] for row in rows]
    axes.plot(product, product, "--", color="grey", label="every cell")
    axes.plot(product, [row[1] for row in rows], "o-", label="measured by the plan")
    axes.plot(product, [row[2] * math.log2(row[4]) for row in rows], ":", label="boundaries x log2(releases)")
    axes.set(xscale="log", yscale="log", xlabel="transformers x peft releases", ylabel="cells")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
