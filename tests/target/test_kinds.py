"""Recipes that train every weight, or adapters on a base in 4 bits, on the real stack."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import noxfile
from tests.target.test_doors import OTHER_TARGET
from vc2doctor.environment import interpreter
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.probe.run import probe

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("kinds")]
"""The tests share the results of a fixture that takes long: one worker runs them."""

FULL = ("full-fp32", "full-bf16-amp", "full-bf16")
OPTIONAL = {"bf16-stochastic": "torchao", "qlora-bf16": "bitsandbytes", "qlora-fp16": "bitsandbytes"}
"""Recipes and the packages that they need beside the stack."""


@pytest.fixture(scope="module")
def target(stack_of: Callable[..., Path]) -> str:
    named = os.environ.get(OTHER_TARGET)
    return named or str(stack_of(*noxfile.TRUTH_CELLS[0].requirements) / "bin" / "python")


@pytest.fixture(scope="module")
def results(target: str) -> dict[str, RecipeOutcome]:
    """Return the outcomes at a learning rate of 1e-6, by recipe."""
    spec = {"model": "language", "learning_rate": 1e-6}
    run = probe(target, "cpu", [*FULL, *OPTIONAL], 300.0, lambda _: None, spec)
    assert run.ending == "finished", run.child.errors
    assert run.malformed_events == 0
    return {outcome.recipe: outcome for outcome in outcomes(run)}


def test_bfloat16_weights_round_the_steps_of_a_small_rate_away(results: dict[str, RecipeOutcome]) -> None:
    """The same was measured with transformers' Trainer on real weights: 1.9 % of the weights, and no norm."""
    outcome = results["full-bf16"]
    assert outcome.outcome == "weak"
    assert outcome.cause is not None
    assert outcome.cause.id == "weights-round-updates-away"
    assert outcome.plan_rate is not None
    assert 0.005 < outcome.plan_rate.moved < 0.05
    assert outcome.plan_rate.norms == 0.0


@pytest.mark.parametrize("name", ["full-fp32", "full-bf16-amp"])
def test_float32_weights_move_at_the_same_rate(name: str, results: dict[str, RecipeOutcome]) -> None:
    outcome = results[name]
    assert outcome.outcome == "finite"
    assert outcome.plan_rate is not None
    assert outcome.plan_rate.moved > 0.95
    assert outcome.plan_rate.norms is not None
    assert outcome.plan_rate.norms > 0.9
    assert "at a learning rate of 1e-06, 8 steps move" in outcome.description


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_recipe_that_needs_a_package_trains_with_it_and_is_not_measured_without(
    name: str, target: str, results: dict[str, RecipeOutcome]
) -> None:
    package = OPTIONAL[name]
    outcome = results[name]
    if package in {found.name for found in interpreter.observe(target).distributions}:
        assert (outcome.outcome, outcome.steps_taken) == ("finite", 6), outcome.description
    else:
        assert outcome.outcome == "unsupported"
        assert f"{name} needs {package}" in outcome.description


def test_random_rounding_lets_more_weights_move(results: dict[str, RecipeOutcome]) -> None:
    stochastic, nearest = results["bf16-stochastic"].plan_rate, results["full-bf16"].plan_rate
    if stochastic is None:
        pytest.skip("torchao is not installed")
    assert nearest is not None
    assert stochastic.moved > 1.5 * nearest.moved
