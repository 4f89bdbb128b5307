"""Trains many planted faults and their twins in one process of the target: importing the stack takes longest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.facts import child
from tests.probe_truth.fault import Fault
from tests.probe_truth.truth import Observation, Row
from vc2doctor.probe import run
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.outcome import RecipeOutcome, outcomes

Results = dict[tuple[str, str], RecipeOutcome]
"""Outcomes by entry and recipe."""
_FOLDER = Path(__file__).parent
_SCRIPT = _FOLDER.parent / "target" / "planted_in_target.py"


def entries(fault: Fault) -> tuple[str, str]:
    """Return the entries of the fault and of its twin."""
    entry = f"planted.{fault.module}:{fault.name}"
    return entry, f"{entry}_twin"


def results(python: str, faults: Sequence[Fault]) -> Results:
    """Train every fault and its twin in the environment of ``python``.

    Raises:
        RuntimeError: the script that trains them failed.
    """
    pairs = [(entry, fault.recipe) for fault in faults for entry in entries(fault)]
    done = subprocess.run(
        [python, "-B", str(_SCRIPT), str(run.WORKER), str(_FOLDER)],
        input="\n".join(" ".join(pair) for pair in pairs),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return {pair: _judged(line, pair[1]) for pair, line in zip(pairs, lines, strict=True)}


def rows(python: str, torch: str, faults: Sequence[Fault]) -> Iterator[Row]:
    """Train the faults that apply to ``torch``, and yield their rows in order."""
    applicable = [fault for fault in faults if fault.applies_to(torch)]
    trained = results(python, applicable)
    for fault in applicable:
        observed, twin = (_observation(trained[entry, fault.recipe]) for entry in entries(fault))
        yield Row(fault, torch, observed, twin)


def _judged(line: str, recipe: str) -> RecipeOutcome:
    reader = EventReader()
    for event in json.loads(line):
        reader.take(event)
    probe = reader.run(child())
    if probe.malformed_events:
        message = f"{probe.malformed_events} events are malformed: {line}"
        raise RuntimeError(message)
    return next(outcome for outcome in outcomes(probe) if outcome.recipe == recipe)


def _observation(outcome: RecipeOutcome) -> Observation:
    cause = outcome.cause
    return Observation(outcome.outcome, cause.id if cause else None, f"{outcome.description}; {cause}")
