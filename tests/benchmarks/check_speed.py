"""Measure what a check costs: ``python -m tests.benchmarks.check_speed PYTHON [--page docs/performance.md]``.

PYTHON is an environment with torch, transformers, peft and accelerate. All figures are CPU seconds, user and system, of
a command and everything that it started. A shared machine slows all of them down, so the commands take turns, and each
ratio is the median of the ratios within a round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FIRST_VERSION = "b2ffe82"
"""The commit that the figures of version 0.1.0 were measured with."""
AT_ONCE = 4
_HEAD = "check, probe and Trainer"
_STATIC = "check --no-probe"
_IMPORTS = "importing the stack and the doors"
_OLD = "version 0.1.0, check --no-probe"
_PEER = "accelerate test"
_MANY = f"{AT_ONCE} checks at once"
_OPEN_DOORS = """
import torch, transformers, peft
from transformers import MistralForCausalLM
from vc2doctor.target.doors import DOORS, Unavailable
import importlib.util
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
for door in DOORS.values():
    if door.is_there(has):
        try:
            door.load()
        except Unavailable:
            pass
"""
"""Imports what the probe imports, and trains nothing."""


class Goal(NamedTuple):
    """A ratio of two commands that must not be exceeded."""

    above: str
    below: str
    limit: float
    times: int = 1
    """How often ``below`` counts: several checks at once are compared with one."""


GOALS = (
    Goal(_HEAD, _IMPORTS, 1.5),
    Goal(_HEAD, _PEER, 0.8),
    Goal(_STATIC, _OLD, 0.75),
    Goal(_MANY, _HEAD, 2.0, AT_ONCE),
)


class Run(NamedTuple):
    """A command that is measured: its arguments, how many of it run at once, and its environment variables."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    at_once: int = 1


def runs(python: str, old: Path) -> dict[str, Run]:
    """Return the commands, by name; ``old`` holds the code of version 0.1.0."""
    folder = str(Path(python).parent)
    variables = {
        name: text for name, text in os.environ.items() if name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    }
    peers = {**variables, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "ACCELERATE_USE_CPU": "1"}
    own = {**variables, "PYTHONPATH": str(ROOT)}
    check = [sys.executable, "-m", "vc2doctor", "check", "--python", python, "--device", "cpu"]
    # A kept answer would be found instead of an examination.
    trained = [*check, "--door", "trainer", "--fresh"]
    return {
        _HEAD: Run(trained, own),
        _STATIC: Run([*check, "--no-probe"], own),
        _OLD: Run([*check, "--no-probe"], {**variables, "PYTHONPATH": str(old)}),
        _IMPORTS: Run([python, "-c", _OPEN_DOORS], own),
        _PEER: Run([f"{folder}/accelerate", "test"], peers),
        "transformers env": Run([f"{folder}/transformers", "env"], peers),
        "torch.utils.collect_env": Run([python, "-m", "torch.utils.collect_env"], peers),
        _MANY: Run(trained, own, AT_ONCE),
    }


def cpu_seconds(run: Run, folder: Path) -> float:
    """Run a command to its end, and return the CPU seconds that it and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # The working directory is an empty one: `python -m` would import what it finds there first.
    processes = [
        subprocess.Popen(run.arguments, cwd=folder, env=dict(run.variables), **quiet)  # type: ignore[call-overload]
        for _ in range(run.at_once)
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.stderr.write(f"{' '.join(run.arguments)[:120]}: exit code {codes}\n")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(named: Mapping[str, Run], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the CPU seconds of every command in each round, after one round of single commands that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in named}
    for number in range(rounds + 1):
        for name, run in named.items():
            if not number and run.at_once > 1:
                continue
            value = cpu_seconds(run, folder)
            if number:
                seconds[name].append(value)
            sys.stderr.write(f"round {number}: {name}: {value:.2f} s\n")
    return seconds


def ratio(goal: Goal, seconds: Mapping[str, Sequence[float]]) -> float:
    """Return the median of the ratios of a goal within each round."""
    pairs = zip(seconds[goal.above], seconds[goal.below], strict=True)
    return statistics.median(above / (below * goal.times) for above, below in pairs)


def page(seconds: Mapping[str, Sequence[float]], heading: str) -> str:
    """Return the tables of docs/performance.md."""
    lines = [heading, "", "| command | CPU seconds, median | least | most |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |"
        for name, values in seconds.items()
    ]
    lines += ["", "| ratio | measured | goal |", "|---|---|---|"]
    for goal in GOALS:
        if {goal.above, goal.below} <= seconds.keys():
            below = f"{goal.times} times {goal.below}" if goal.times > 1 else goal.below
            lines.append(f"| {goal.above} : {below} | {ratio(goal, seconds):.2f} | ≤ {goal.limit:g} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print the tables or write them into a page below its line ``<!-- figures -->``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("python")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", help="name of a command; may be repeated")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        old, empty = Path(name, "old"), Path(name, "empty")
        empty.mkdir()
        command = [shutil.which("git") or "git", "-C", str(ROOT), "archive", FIRST_VERSION]
        archive = subprocess.Popen(command, stdout=subprocess.PIPE)
        with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
            tar.extractall(old, filter="data")
        archive.wait()
        named = runs(options.python, old)
        wanted = options.only or list(named)
        seconds = measure({each: named[each] for each in wanted}, options.runs, empty)
    heading = f"{options.runs} rounds on {os.cpu_count()} cores, Python {sys.version.split()[0]}."
    text = page(seconds, heading)
    if options.page is None:
        sys.stdout.write(text)
        return
    before, mark, _ = options.page.read_text(encoding="utf-8").partition("<!-- figures -->\n")
    options.page.write_text(f"{before}{mark}\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
