"""The planted faults of graphs, gradients, rates and batches, and their clean twins, on the real torch."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import noxfile
from tests.facts import child
from tests.probe_truth.fault import Fault
from tests.probe_truth.table import FAULTS
from tests.target.test_doors import OTHER_TARGET
from vc2doctor.probe import run
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.outcome import RecipeOutcome, outcomes

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("planted")]
"""The tests share the results of a fixture that takes long: one worker runs them."""
NEWEST = noxfile.TRUTH_CELLS[0]
PLANTED = [fault for fault in FAULTS if fault.module != "faults" and fault.applies_to(NEWEST.name)]
SCRIPT = Path(__file__).with_name("planted_in_target.py")
FOLDER = Path(__file__).parents[1] / "probe_truth"
Results = dict[tuple[str, str], RecipeOutcome]


def entries(fault: Fault) -> tuple[str, str]:
    """Return the entries of the fault and of its twin."""
    entry = f"planted.{fault.module}:{fault.name}"
    return entry, f"{entry}_twin"


@pytest.fixture(scope="module")
def results(stack_of: Callable[..., Path]) -> Results:
    """Return the outcomes by entry and recipe."""
    named = os.environ.get(OTHER_TARGET)
    python = named or str(stack_of(*NEWEST.requirements) / "bin" / "python")
    pairs = [(entry, fault.recipe) for fault in PLANTED for entry in entries(fault)]
    done = subprocess.run(
        [python, "-B", str(SCRIPT), str(run.WORKER), str(FOLDER)],
        input="\n".join(" ".join(pair) for pair in pairs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return {pair: _judged(line, pair[1]) for pair, line in zip(pairs, lines, strict=True)}


def _judged(line: str, recipe: str) -> RecipeOutcome:
    reader = EventReader()
    for event in json.loads(line):
        reader.take(event)
    probe = reader.run(child())
    assert probe.malformed_events == 0
    return next(outcome for outcome in outcomes(probe) if outcome.recipe == recipe)


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_fault_is_named_and_its_twin_is_not_accused(fault: Fault, results: Results) -> None:
    faulty, clean = (results[entry, fault.recipe] for entry in entries(fault))
    assert (faulty.outcome, faulty.cause and faulty.cause.id) == (fault.outcome, fault.cause), faulty.description
    assert (clean.outcome, clean.cause) == ("finite", None), clean.description


def test_the_line_that_breaks_is_named_also_in_the_backward_pass(results: Results) -> None:
    where = results["planted.graph_faults:root_of_zero", "fp32"].where
    assert where is not None
    assert (where.phase, where.node, where.file) == ("backward", "SqrtBackward0", "planted/graph_faults.py")
