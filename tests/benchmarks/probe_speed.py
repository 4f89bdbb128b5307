"""Measure the speed of the probe: ``python -m tests.benchmarks.probe_speed PYTHON``.

It prints the time of the probe with and without imports, and the time of each recipe relative to fp32.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

_RUNS = 5


def main() -> int:
    """Print the medians of five runs, in seconds and relative to fp32."""
    times: dict[str, list[float]] = {}
    for _ in range(_RUNS):
        probe = _run(sys.argv[1])
        imports = sum(entry["seconds"] for entry in probe["imports"]) + (probe["warm_up"] or 0.0)
        parts = {"without imports": probe["seconds"] - imports, "imports": imports}
        parts |= {run["recipe"]: run["seconds"] for run in probe["recipes"]}
        for name, seconds in parts.items():
            times.setdefault(name, []).append(seconds)
    fp32 = statistics.median(times["fp32"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"{name:<24} {median:7.3f} s   x{median / fp32:6.2f} of fp32   ({min(seconds):.3f} to {max(seconds):.3f})"
        )
    return 0


def _run(python: str) -> dict[str, Any]:
    options = ("--fresh", "--device", "cpu", "--format", "json")
    command = [sys.executable, "-m", "vc2doctor", "check", "--python", python, *options]
    process = subprocess.run(
        command, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True, check=False
    )
    probe: dict[str, Any] = json.loads(process.stdout)["probe"]
    return probe


if __name__ == "__main__":
    sys.exit(main())
