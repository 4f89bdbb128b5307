"""What loading the verdicts and judging costs: medians in milliseconds, beside parsing the same file as JSON.

Run by ``python -m tests.benchmarks.matrix_speed``.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable

from vc2doctor.matrix import load
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.judge import Combination, judge
from vc2doctor.matrix.matrix import Matrix

RUNS = 15
EXAMPLE = {"torch": "2.5.1", "transformers": "4.57.3", "peft": "0.11.1"}


def median(action: Callable[[], object]) -> float:
    """Return the median of some runs, in milliseconds."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def one(text: bytes) -> None:
    """Load the verdicts and judge one combination, as a command does."""
    known = Matrix(profiles={}, issues=(), verdicts=Verdicts.model_validate_json(text))
    judge(Combination(python=None, versions=EXAMPLE, installed=False), known, "bf16")


def main() -> None:
    """Print the table."""
    text = (load.shipped() / "verdicts.json").read_bytes()
    known = load.load(load.shipped())
    releases = known.verdicts.releases
    stacks = [
        Combination(python=None, versions={"torch": torch, "transformers": one_, "peft": other}, installed=False)
        for torch, one_, other in itertools.product(("2.5.1",), releases["transformers"], releases["peft"])
    ]
    parsed = median(lambda: json.loads(text))
    judged = median(lambda: one(text))
    print(f"parse verdicts.json {parsed:.1f} ms; load and judge {judged:.1f} ms ({judged / parsed:.1f} times that)")
    print(f"whole folder: {median(lambda: load.load(load.shipped())):.1f} ms")
    many = median(lambda: [judge(stack, known, "bf16") for stack in stacks])
    print(f"{len(stacks)} combinations: {many:.0f} ms, {len(stacks) / many * 1e3:.0f} a second")


if __name__ == "__main__":
    main()
