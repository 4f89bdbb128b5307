"""Which recipes the probe runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import plan
from vc2doctor.commands import recipes
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.target.shared.recipes import CONTROL, DEFAULT_RECIPES


def outcome(recipe: str, result: Any) -> RecipeOutcome:  # noqa: ANN401 - any outcome
    return RecipeOutcome.model_construct(recipe=recipe, outcome=result, description="")


def test_check_runs_all_default_recipes() -> None:
    assert recipes.every(DEFAULT_RECIPES, "bf16") == DEFAULT_RECIPES


def test_training_of_every_weight_is_compared_with_its_own_control() -> None:
    assert {"fp32", "full-fp32", "full-bf16"} <= set(recipes.every(DEFAULT_RECIPES, "full-bf16"))


def test_only_what_the_code_trains_in_and_the_control_are_used() -> None:
    code = {"a.py": "fp16-amp", "b.py": "bf16"}
    assert recipes.used(plan(precision="fp16-amp", code_recipes=code), None) == (CONTROL, "bf16", "fp16-amp")


def test_requested_recipe_replaces_those_of_the_code() -> None:
    assert recipes.used(plan(precision="bf16", code_recipes={"a.py": "fp16-amp"}), "bf16") == (CONTROL, "bf16")


def test_nothing_is_left_out_if_it_is_not_known_what_is_used() -> None:
    assert recipes.used(plan(precision="bf16"), None) == ()


def test_left_out_recipes_are_named() -> None:
    ran = recipes.used(plan(precision="bf16"), "bf16")
    assert set(recipes.left_out(ran)) == set(DEFAULT_RECIPES) - {CONTROL, "bf16"}


@pytest.mark.parametrize(
    ("control", "used", "matters"),
    [
        ("finite", "non-finite", True),
        ("finite", "weak", True),
        ("finite", "finite", False),
        ("finite", "unsupported", False),
        ("finite", None, False),
        ("error", "error", False),
    ],
)
def test_other_recipes_run_if_precision_may_be_the_cause(control: str, used: str | None, matters: bool) -> None:
    outcomes = [outcome(CONTROL, control), outcome("fp16-amp", used)]
    assert recipes.alternatives_matter(outcomes) is matters


@pytest.mark.parametrize(
    ("adapters", "weights"),
    [
        *[("bf16", "full-bf16"), ("bf16-amp", "full-bf16-amp"), ("fp32", "full-fp32"), ("full-bf16", "full-bf16")],
        *[("fp16-amp", "fp16-amp"), ("qlora-bf16", "qlora-bf16")],
    ],
)
def test_recipe_that_trains_every_weight_in_the_same_precision(adapters: str, weights: str) -> None:
    assert recipes.of_every_weight(adapters) == weights
