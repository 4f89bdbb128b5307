"""Compilation, determinism and attention code as ways to train of their own, on the real torch."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import noxfile
from tests.facts import child
from tests.target.test_doors import OTHER_TARGET
from vc2doctor.probe import run
from vc2doctor.probe.events import EventReader
from vc2doctor.probe.variants import VariantOutcome, variant_outcomes

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("variants")]
"""The tests share the results of a fixture that takes long: one worker runs them."""
SCRIPT = Path(__file__).with_name("variants_in_target.py")
FOLDER = Path(__file__).parents[1] / "probe_truth"


class Trial(NamedTuple):
    """An entry that is trained in one way, and what is reported: outcome, comparison, and whether two runs agree."""

    entry: str
    recipe: str
    variant: str
    outcome: str
    comparison: str
    repeats: bool | None = None


TRIALS = (
    Trial("compiled_overflow", "fp16-amp", "compiled", "non-finite", "only-here"),
    Trial("compiled_overflow", "fp32", "compiled", "finite", "same"),
    Trial("compiled_overflow_twin", "fp16-amp", "compiled", "finite", "same"),
    Trial("undeterministic", "fp32", "deterministic", "error", "only-here"),
    Trial("undeterministic_twin", "fp32", "deterministic", "finite", "same", repeats=True),
    Trial("unseeded", "fp32", "deterministic", "finite", "same", repeats=False),
    Trial("attention", "bf16", "eager", "finite", "same"),
    Trial("attention", "bf16", "flash_attention_2", "unsupported", "unknown"),
    Trial("no_attention", "fp32", "eager", "unsupported", "unknown"),
)


@pytest.fixture(scope="module")
def results(stack_of: Callable[..., Path]) -> dict[Trial, VariantOutcome]:
    named = os.environ.get(OTHER_TARGET)
    python = named or str(stack_of(*noxfile.TRUTH_CELLS[0].requirements) / "bin" / "python")
    done = subprocess.run(
        [python, "-B", str(SCRIPT), str(run.WORKER), str(FOLDER)],
        input="\n".join(f"planted.axis_faults:{each.entry} {each.recipe} {each.variant}" for each in TRIALS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return {trial: _judged(line) for trial, line in zip(TRIALS, lines, strict=True)}


def _judged(line: str) -> VariantOutcome:
    reader = EventReader()
    for event in json.loads(line):
        reader.take(event)
    probe = reader.run(child())
    assert probe.malformed_events == 0
    (variant,) = variant_outcomes(probe)
    return variant


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: "-".join(trial[:3]))
def test_a_fault_of_one_way_to_train_is_told_apart(trial: Trial, results: dict[Trial, VariantOutcome]) -> None:
    variant = results[trial]
    outcome = next(each for each in variant.recipes if each.recipe == trial.recipe)
    assert (outcome.outcome, variant.comparisons[trial.recipe]) == (trial.outcome, trial.comparison), (
        outcome.description
    )
    assert variant.repeats is trial.repeats
    assert variant.finished


def test_the_operation_without_a_deterministic_form_is_named(results: dict[Trial, VariantOutcome]) -> None:
    description = results[TRIALS[3]].recipes[0].description
    assert "put_" in description
    assert "deterministic" in description


def test_the_reason_why_attention_code_cannot_be_tried_is_given(results: dict[Trial, VariantOutcome]) -> None:
    flash = results[TRIALS[7]].recipes[-1].description
    assert "needs the module flash_attn; it is not installed" in flash or "needs a GPU" in flash
    assert (
        results[TRIALS[8]].recipes[0].description == "the model of your function has no switch for the attention code"
    )
