"""Measure the time to load the verdicts and to judge, in milliseconds, and compare it with parsing the file as JSON.

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


def median_milliseconds(action: Callable[[], object]) -> float:
    """Return the median duration of ``RUNS`` calls, in milliseconds."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def load_and_judge(text: bytes) -> None:
    """Load the verdicts and judge one combination, as a command does."""
    matrix = Matrix(profiles={}, issues=(), verdicts=Verdicts.model_validate_json(text))
    judge(Combination(python=None, versions=EXAMPLE, installed=False), matrix, "bf16")


def main() -> None:
    """Print the table."""
    text = (load.shipped() / "verdicts.json").read_bytes()
    matrix = load.load(load.shipped())
    releases = matrix.verdicts.releases
    stacks = [
        Combination(python=None, versions={**EXAMPLE, "transformers": transformers, "peft": peft}, installed=False)
        for transformers, peft in itertools.product(releases["transformers"], releases["peft"])
    ]
    parse = median_milliseconds(lambda: json.loads(text))
    judge_one = median_milliseconds(lambda: load_and_judge(text))
    print(f"parse verdicts.json {parse:.1f} ms; load and judge {judge_one:.1f} ms ({judge_one / parse:.1f} times that)")
    print(f"load the whole folder: {median_milliseconds(lambda: load.load(load.shipped())):.1f} ms")
    judge_all = median_milliseconds(lambda: [judge(stack, matrix, "bf16") for stack in stacks])
    print(f"{len(stacks)} combinations: {judge_all:.0f} ms, {len(stacks) / judge_all * 1e3:.0f} a second")


if __name__ == "__main__":
    main()
