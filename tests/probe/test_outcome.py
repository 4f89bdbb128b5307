"""The outcome of a recipe, from what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, cuda_device, failed, failure, falling, probe_run, recipe, step
from vc2doctor.probe.facts import Adapters, Gradients, ProbeRun, RecipeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes


def outcome(run: RecipeRun, **fields: Any) -> RecipeOutcome:  # noqa: ANN401
    probe = probe_run(run, **fields)
    return next(found for found in outcomes(probe) if found.recipe == run.recipe)


def grads(**counts: Any) -> Gradients:  # noqa: ANN401
    return Gradients(**{"tensors": 10, "missing": 0, "non_finite": 0, "zero": 0, **counts})


def test_finite() -> None:
    found = outcome(recipe("bf16"))
    assert found.outcome == "finite"
    assert found.description == "loss 4.5000 to 4.0000 in 6 steps"
    assert (found.first_loss, found.last_loss, found.steps_taken) == (4.5, 4.0, 6)


def test_poisoned_after_a_finite_loss() -> None:
    found = outcome(recipe("fp16-unscaled", steps=(step(0, 4.557, parameters_finite=False),)))
    assert (found.outcome, found.step, found.phase) == ("poisoned", 0, "optimizer")
    assert "after a finite loss of 4.5570 (trainable parameters in float32)" in found.description
    first_bad_parameter = step(0, 4.557, parameters_finite=False, first_bad_parameter="layers.0.q_proj.lora_A")
    assert outcome(recipe("fp16-unscaled", steps=(first_bad_parameter,))).description.endswith(
        ", layers.0.q_proj.lora_A first"
    )


def test_a_loss_that_is_not_finite() -> None:
    found = outcome(recipe("bf16", steps=(step(0, 4.5), step(1, None, parameters_finite=False))))
    assert (found.outcome, found.step, found.phase) == ("non-finite", 1, "forward")


def test_a_finite_loss_with_gradients_that_are_not() -> None:
    found = outcome(recipe("bf16", steps=(step(0, 4.5, gradients=grads(non_finite=3), parameters_finite=False),)))
    assert (found.outcome, found.phase) == ("non-finite", "backward")
    assert "3 of 10 tensors" in found.description
    seen = grads(non_finite=3, first_non_finite="patch.weight")
    named = outcome(recipe("bf16", steps=(step(0, 4.5, gradients=seen, parameters_finite=False),)))
    assert named.description.endswith("are not finite, patch.weight first")


def skipped(scale: float) -> dict[str, Any]:
    return {"taken": False, "scale": scale, "gradients": grads(non_finite=10)}


def test_a_scaler_may_skip_its_first_steps() -> None:
    calibrating = (step(0, 4.5, **skipped(65536.0)), step(1, 4.5, **skipped(32768.0)))
    steps = (*calibrating, *(step(n, 4.5 - n / 10, scale=16384.0) for n in range(2, 8)))
    found = outcome(recipe("fp16-amp", steps=steps))
    assert found.outcome == "finite"
    assert found.description == "loss 4.5000 to 3.8000 in 6 steps, after 2 skipped (scale 65536 to 16384)"
    assert (found.steps_skipped, found.scales[:3]) == (2, (65536.0, 32768.0, 16384.0))


def test_frozen_where_no_step_is_taken() -> None:
    steps = tuple(step(n, 4.9086, **skipped(65536.0 / 2**n)) for n in range(18))
    found = outcome(recipe("fp16-scaled", steps=steps))
    assert (found.outcome, found.steps_taken) == ("frozen", 0)
    assert "none of 18 steps was taken" in found.description


def test_underflow_against_the_control() -> None:
    steps = tuple(step(n, 4.5 - n / 10, gradients=grads(zero=9)) for n in range(6))
    assert outcome(recipe("fp16-unscaled", steps=steps)).outcome == "underflow"


def test_no_underflow_where_the_control_is_as_empty() -> None:
    steps = tuple(step(n, 4.5 - n / 10, gradients=grads(zero=9)) for n in range(6))
    probe = probe_run(recipe("fp32", steps=steps), recipe("bf16", steps=steps))
    assert {found.outcome for found in outcomes(probe) if found.recipe in {"fp32", "bf16"}} == {"finite"}


def test_weak_where_a_tensor_gets_no_gradient() -> None:
    seen = grads(missing=2, first_missing="added.weight")
    found = outcome(recipe("bf16", steps=tuple(step(n, 4.5 - n / 10, gradients=seen) for n in range(6))))
    assert found.outcome == "weak"
    assert found.description == "2 of 10 trainable tensors get no gradient, added.weight first"


def test_one_adapter_without_a_gradient_is_weak_and_one_other_tensor_is_not() -> None:
    def with_missing(**counts: Any) -> RecipeOutcome:  # noqa: ANN401
        seen = grads(tensors=100, missing=1, first_missing="x", **counts)
        return outcome(recipe("bf16", steps=tuple(step(n, 4.5 - n / 10, gradients=seen) for n in range(6))))

    assert with_missing(missing_adapters=1).outcome == "weak"
    found = with_missing()
    assert found.outcome == "finite"
    assert "1 of 100 trainable tensors get no gradient" in found.description


def test_gradients_that_vanish_against_the_control() -> None:
    assert outcome(recipe("fp16-unscaled", vanished=0.6)).outcome == "underflow"
    found = outcome(recipe("fp16-unscaled", vanished=0.14))
    assert (found.outcome, found.vanished) == ("finite", 0.14)
    assert "14% of the gradients vanish" in found.description


def test_adapters_of_which_half_would_move_are_told_of() -> None:
    adapters = Adapters(dtypes=("bfloat16",), tensors=1, elements=1, would_move={"bfloat16": {4096: 0.51, 14336: 0.9}})
    found = outcome(recipe("bf16", adapters=adapters))
    assert (found.outcome, found.would_move) == ("finite", 0.51)
    assert "would move 51% of the adapters" in found.description
    few = adapters.model_copy(update={"would_move": {"bfloat16": {4096: 0.07}}})
    assert outcome(recipe("bf16", adapters=few)).outcome == "weak"


def test_weak_where_hardly_anything_moves() -> None:
    assert outcome(recipe("bf16", moved=0.03)).outcome == "weak"


@pytest.mark.parametrize("last", [4.5, 4.6])
def test_weak_where_the_loss_does_not_fall(last: float) -> None:
    assert outcome(recipe("bf16", steps=(step(0, 4.5), step(1, last)))).outcome == "weak"


def test_an_error_says_where() -> None:
    found = outcome(failed("fp16-scaled", failure("Attempting to unscale FP16 gradients.", type="ValueError")))
    assert found.outcome == "error"
    assert found.description == "ValueError: Attempting to unscale FP16 gradients, raised at torch/x.py:7"


HALF = "\"addmm_impl_cpu_\" not implemented for 'Half'"


def test_what_a_cpu_cannot_do_is_unsupported() -> None:
    assert outcome(failed("fp16-scaled", failure(HALF))).outcome == "unsupported"


def test_the_same_on_a_gpu_is_an_error() -> None:
    assert outcome(failed("fp16-scaled", failure(HALF)), device=cuda_device()).outcome == "error"


def test_what_the_worker_calls_unsupported() -> None:
    found = outcome(recipe("fp16-scaled", steps=(), unsupported="no GradScaler here"))
    assert (found.outcome, found.description) == ("unsupported", "no GradScaler here")


def cut_off(**fields: Any) -> ProbeRun:  # noqa: ANN401
    begun = recipe("bf16", finished=False, seconds=None, moved=None, steps=falling(2))
    return probe_run(recipes=(recipe("fp32"), begun), **fields)


def test_a_crash_during_a_recipe_is_its_error() -> None:
    found = outcomes(cut_off(ending="signal", child=child(ending="signal", code=None, signal="SIGSEGV")))[1]
    assert (found.outcome, found.step) == ("error", 2)
    assert "SIGSEGV" in found.description


def test_want_of_memory_is_its_error() -> None:
    assert "want of memory" in outcomes(cut_off(ending="out-of-memory"))[1].description


@pytest.mark.parametrize("ending", ["timeout", "interrupted", "flood", "exit"])
def test_what_was_cut_off_is_not_measured(ending: str) -> None:
    assert outcomes(cut_off(ending=ending))[1].outcome is None


def test_a_recipe_that_ends_without_a_step_is_not_fit() -> None:
    assert outcome(recipe("bf16", steps=())).outcome is None
