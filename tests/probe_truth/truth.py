"""Runs planted faults and their clean twins through ``vc2doctor`` as a user would, and makes a table of the results."""

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

from tests.probe_truth.fault import Fault
from tests.probe_truth.table import ENVIRONMENT_FAULTS, FAULTS, EnvironmentFault

SEEDS, ATTENTIONS = range(5), ("eager", "sdpa")
_FOLDER = Path(__file__).parent
"""The folder in which ``planted.faults`` can be imported."""
_CLEAN = ("finite", None)
_JOBS = 2


class Observation(NamedTuple):
    """The doctor's report on one recipe; ``description`` is its evidence."""

    outcome: str | None
    cause: str | None
    description: str


class Row(NamedTuple):
    """One fault in one environment, with the reports on it and on its twin."""

    fault: Fault | EnvironmentFault
    environment: str
    observed: Observation
    twin: Observation

    @property
    def verdict(self) -> str:
        """``right``, ``wrong``, or ``unsupported`` if this device or torch cannot run the recipe."""
        if "unsupported" in {self.observed.outcome, self.twin.outcome}:
            return "unsupported"
        is_named = self.observed[:2] == (self.fault.outcome, self.fault.cause)
        return "right" if is_named and self.twin[:2] == _CLEAN else "wrong"


def run_doctor(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``vc2doctor`` on the environment of ``python``, on its CPU, for a report as JSON."""
    command = [sys.executable, "-m", "vc2doctor", *arguments, "--python", python, "--device", "cpu", "--format", "json"]
    return subprocess.run(
        command,
        cwd=_FOLDER,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def observe(python: str, recipe: str, *arguments: str) -> Observation:
    """Return the report of ``vc2doctor probe`` (or ``check``) on ``recipe`` in the environment of ``python``."""
    done = run_doctor(python, *arguments, "--precision", recipe)
    if not done.stdout:
        return Observation(None, None, done.stderr[-500:])
    report = json.loads(done.stdout)
    recipes = {row["recipe"]: row for row in (report["probe"] or {"recipes": []})["recipes"]}
    if recipe not in recipes:
        return Observation(None, None, str([finding["message"] for finding in report["findings"]]))
    cause = recipes[recipe]["cause"]
    description = f"{recipes[recipe]['description']}; {cause and cause['description']}"
    return Observation(recipes[recipe]["outcome"], cause and cause["id"], description)


def observe_entry(python: str, module: str, name: str, recipe: str) -> Observation:
    """Return the report on ``planted.MODULE:NAME`` under ``recipe``; the control runs before it."""
    recipes = ",".join(dict.fromkeys(("fp32", recipe)))
    return observe(python, recipe, "probe", "--entry", f"planted.{module}:{name}", "--recipes", recipes)


def row(python: str, torch: str, fault: Fault) -> Row:
    """Run one fault and its twin."""
    observed, twin = (
        observe_entry(python, fault.module, name, fault.recipe) for name in (fault.name, f"{fault.name}_twin")
    )
    return Row(fault, torch, observed, twin)


def rows(python: str, torch: str, faults: Sequence[Fault]) -> Iterable[Row]:
    """Run all ``faults`` that apply to ``torch``, two at a time, and yield their rows in order."""
    applicable = [fault for fault in faults if fault.applies_to(torch)]
    with ThreadPoolExecutor(_JOBS) as pool:
        yield from pool.map(lambda fault: row(python, torch, fault), applicable)


def environment_row(fault: EnvironmentFault, faulty: str, clean: str) -> Row:
    """Check a faulty environment and its twin."""
    observed, twin = (
        observe(python, fault.recipe, "check", "--fresh", "--profile", fault.profile) for python in (faulty, clean)
    )
    return Row(fault, fault.torch, observed, twin)


def outcomes(python: str, seed: int, attention: str) -> dict[str, str]:
    """Return the outcome of every recipe, with and without planted outliers, for one seed and attention."""
    done = run_doctor(
        python, "probe", "--stress", "--profile", "videochat2-mistral", "--seed", str(seed), "--attention", attention
    )
    probe = json.loads(done.stdout)["probe"]
    by_name = {recipe["recipe"]: str(recipe["outcome"]) for recipe in probe["recipes"]}
    for stress in probe["stress"]:
        by_name |= {f"{stress['plant']}: {recipe['recipe']}": str(recipe["outcome"]) for recipe in stress["recipes"]}
    return by_name


def line(row: Row) -> str:
    """Return one row for a terminal."""
    expected = f"  expected {row.fault.outcome}, {row.fault.cause}; {row.observed}; {row.twin}"
    explanation = expected if row.verdict == "wrong" else ""
    result = f"{row.observed.outcome}: {row.observed.cause or 'unknown'}"
    return f"{row.verdict:<11} torch {row.environment:<7} {row.fault.name:<24} {result}{explanation}"


Verdicts = dict[tuple[str, str], dict[str, str]]
"""By fault and recipe, then by torch."""


def markdown(verdicts: Verdicts) -> str:
    """Return the table of the documentation: a line for each fault, a column for each torch."""
    columns = sorted({torch for by_torch in verdicts.values() for torch in by_torch}, key=Version, reverse=True)
    head = ["fault", "recipe", "outcome", "cause", *(f"torch {column}" for column in columns)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    faults: tuple[Fault | EnvironmentFault, ...] = (*FAULTS, *ENVIRONMENT_FAULTS)
    for fault in faults:
        by_torch = verdicts.get((fault.name, fault.recipe))
        if by_torch:
            cells = [by_torch.get(column, _without_row(fault, column)) for column in columns]
            cause = f"`{fault.cause}`" if fault.cause else "unknown"
            lines.append(f"| {' | '.join([fault.description, fault.recipe, fault.outcome, cause, *cells])} |")
    return "\n".join(lines) + "\n"


def _without_row(fault: Fault | EnvironmentFault, torch: str) -> str:
    """Return what the table says where a fault was not run: on purpose, or because it is newer than the figures."""
    return "not run" if isinstance(fault, Fault) and fault.applies_to(torch) else "does not apply"
