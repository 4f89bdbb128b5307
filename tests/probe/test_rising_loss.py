"""A loss that rises: its outcome, and what it does not show."""

from __future__ import annotations

from tests.facts import probe_run, recipe, step
from vc2doctor.probe.facts import Gradients, RecipeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes

ZERO = Gradients(tensors=10, missing=0, non_finite=0, zero=9)


def outcome_of(run: RecipeRun) -> RecipeOutcome:
    return next(outcome for outcome in outcomes(probe_run(run)) if outcome.recipe == run.recipe)


def test_zero_gradients_after_an_explosion_are_not_underflow() -> None:
    dead = step(2, 90.0, gradients=ZERO)
    result = outcome_of(recipe("fp16-unscaled", steps=(step(0, 1.0), step(1, 90.0), dead), vanished=0.9))
    assert (result.outcome, result.description) == ("weak", "the loss did not fall: it went from 1.0000 to 90.0000")


def test_zero_gradients_after_a_small_rise_are_underflow() -> None:
    dead = step(2, 1.5, gradients=ZERO)
    assert outcome_of(recipe("fp16-unscaled", steps=(step(0, 1.0), step(1, 1.4), dead))).outcome == "underflow"


def test_the_batches_are_compared_each_with_itself() -> None:
    steps = (step(0, 1.0), step(1, 50.0, batch=1), step(2, 0.9), step(3, 49.0, batch=1))
    assert not recipe("bf16", steps=steps).exploded


def test_a_huge_loss_is_shown_without_digits_after_the_point() -> None:
    assert outcome_of(recipe("bf16", steps=(step(0, 1.0), step(1, 2e18)))).description.endswith("from 1.0000 to 2e+18")
