"""Runs planted faults and their clean twins through ``vc2doctor`` as a user would, and tables what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

from tests.faults.table import ENVIRONMENT_FAULTS, FAULTS, EnvironmentFault, Fault

_HERE = Path(__file__).parent
_CLEAN = ("finite", None)
_JOBS = 2


class Seen(NamedTuple):
    """What the doctor said of one recipe; ``told`` is its evidence."""

    outcome: str | None
    cause: str | None
    told: str


class Row(NamedTuple):
    """One fault in one environment: what was seen of it, and of its twin."""

    fault: Fault | EnvironmentFault
    environment: str
    seen: Seen
    twin: Seen

    @property
    def verdict(self) -> str:
        """``right``, ``wrong``, or ``unsupported`` where this device or torch cannot run the recipe."""
        if "unsupported" in {self.seen.outcome, self.twin.outcome}:
            return "unsupported"
        named = self.seen[:2] == (self.fault.outcome, self.fault.cause)
        return "right" if named and self.twin[:2] == _CLEAN else "wrong"


def told(python: str, *what: str) -> subprocess.CompletedProcess[str]:
    """Run ``vc2doctor`` on the environment of ``python``, on its CPU, for a report as JSON."""
    command = [sys.executable, "-m", "vc2doctor", *what, "--python", python, "--device", "cpu", "--format", "json"]
    return subprocess.run(
        command,
        cwd=_HERE,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def see(python: str, recipe: str, *what: str) -> Seen:
    """Return what ``vc2doctor probe`` (or ``check``) says of ``recipe`` in the environment of ``python``."""
    done = told(python, *what, "--precision", recipe)
    if not done.stdout:
        return Seen(None, None, done.stderr[-500:])
    report = json.loads(done.stdout)
    found = [one for one in (report["probe"] or {"recipes": []})["recipes"] if one["recipe"] == recipe]
    if not found:
        return Seen(None, None, str([finding["message"] for finding in report["findings"]]))
    cause = found[0]["cause"]
    return Seen(found[0]["outcome"], cause and cause["id"], f"{found[0]['told']}; {cause and cause['told']}")


def entry(python: str, name: str, recipe: str) -> Seen:
    """Return what is seen of ``planted:NAME`` under ``recipe``, with the control before it."""
    recipes = ",".join(dict.fromkeys(("fp32", recipe)))
    return see(python, recipe, "probe", "--entry", f"planted:{name}", "--recipes", recipes)


def row(python: str, torch: str, fault: Fault) -> Row:
    """Run one fault and its twin."""
    seen = entry(python, fault.name, fault.recipe)
    return Row(fault, torch, seen, entry(python, f"{fault.name}_twin", fault.recipe))


def rows(python: str, torch: str, faults: Sequence[Fault] = FAULTS) -> Iterable[Row]:
    """Run all ``faults`` that apply to ``torch``, two at a time, and yield their rows in order."""
    wanted = [fault for fault in faults if fault.applies(torch)]
    with ThreadPoolExecutor(_JOBS) as pool:
        yield from pool.map(lambda fault: row(python, torch, fault), wanted)


def environment_row(fault: EnvironmentFault, faulty: str, clean: str) -> Row:
    """Check a faulty environment and its twin."""
    seen, twin = (see(python, fault.recipe, "check", "--profile", fault.profile) for python in (faulty, clean))
    return Row(fault, fault.torch, seen, twin)


SEEDS, ATTENTIONS = range(5), ("eager", "sdpa")


def verdicts(python: str, seed: int, attention: str) -> dict[str, str]:
    """Return the outcome of every recipe, plain and with every plant, for one seed and attention."""
    done = told(python, "probe", "--stress", "--seed", str(seed), "--attention", attention)
    report = json.loads(done.stdout)["probe"]
    found = {one["recipe"]: str(one["outcome"]) for one in report["recipes"]}
    for plant in report["stress"]:
        found |= {f"{plant['plant']}: {one['recipe']}": str(one["outcome"]) for one in plant["recipes"]}
    return found


def line(one: Row) -> str:
    """Return one row for a terminal."""
    expected = f"  expected {one.fault.outcome}, {one.fault.cause}; {one.seen}; {one.twin}"
    told = expected if one.verdict == "wrong" else ""
    cause = one.seen.cause or "unknown"
    return f"{one.verdict:<11} torch {one.environment:<7} {one.fault.name:<24} {one.seen.outcome}: {cause}{told}"


Verdicts = dict[tuple[str, str], dict[str, str]]
"""By fault and recipe, then by torch."""


def markdown(made: Verdicts) -> str:
    """Return the table of the documentation: a line a fault, a column a torch."""
    columns = sorted({torch for found in made.values() for torch in found}, key=Version, reverse=True)
    head = ["fault", "recipe", "outcome", "cause", *(f"torch {column}" for column in columns)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for fault in (*FAULTS, *ENVIRONMENT_FAULTS):
        found = made.get((fault.name, fault.recipe))
        if found:
            cells = [found.get(column, "does not apply") for column in columns]
            cause = f"`{fault.cause}`" if fault.cause else "unknown"
            lines.append(f"| {' | '.join([fault.told, fault.recipe, fault.outcome, cause, *cells])} |")
    return "\n".join(lines) + "\n"
