"""``python -m tests.benchmarks.probe_speed PYTHON``: the probe beyond the imports, and each recipe beside fp32."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

_RUNS = 5
_PARTS = ("beyond the imports", "imports")


def main() -> int:
    """Print medians of five runs, in seconds and as ratios."""
    found: dict[str, list[float]] = {}
    for _ in range(_RUNS):
        probe = _run(sys.argv[1])
        imports = sum(one["seconds"] for one in probe["imports"]) + (probe["warm_up"] or 0.0)
        parts = dict(zip(_PARTS, (probe["seconds"] - imports, imports), strict=True))
        parts |= {one["recipe"]: one["seconds"] for one in probe["recipes"]}
        for name, seconds in parts.items():
            found.setdefault(name, []).append(seconds)
    unit = statistics.median(found["fp32"])
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(
            f"{name:<24} {median:7.3f} s   x{median / unit:6.2f} of fp32   ({min(seconds):.3f} to {max(seconds):.3f})"
        )
    return 0


def _run(python: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "vc2doctor", "check", "--python", python, "--device", "cpu", "--format", "json"]
    done = subprocess.run(
        command, env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True, check=False
    )
    probe: dict[str, Any] = json.loads(done.stdout)["probe"]
    return probe


if __name__ == "__main__":
    sys.exit(main())
