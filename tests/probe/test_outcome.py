"""The outcome of a recipe, judged from its facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, cuda_device, failed, failure, falling, probe_run, recipe, step
from vc2doctor.probe.facts import Adapters, Gradients, ProbeRun, RecipeRun, Step
from vc2doctor.probe.outcome import RecipeOutcome, outcomes


def outcome_of(run: RecipeRun, **fields: Any) -> RecipeOutcome:  # noqa: ANN401
    probe = probe_run(run, **fields)
    return next(outcome for outcome in outcomes(probe) if outcome.recipe == run.recipe)


def gradients(**counts: Any) -> Gradients:  # noqa: ANN401
    return Gradients(**{"tensors": 10, "missing": 0, "non_finite": 0, "zero": 0, **counts})


def falling_with(**counts: Any) -> tuple[Step, ...]:  # noqa: ANN401
    """Return steps whose loss falls, all with the same gradients."""
    return tuple(step(number, 4.5 - number / 10, gradients=gradients(**counts)) for number in range(6))


def test_a_falling_loss_is_finite() -> None:
    result = outcome_of(recipe("bf16"))
    assert result.outcome == "finite"
    assert result.description == "the loss fell from 4.5000 to 4.0000 in 6 steps"
    assert (result.first_loss, result.last_loss, result.steps_taken) == (4.5, 4.0, 6)


def test_bad_parameters_after_a_finite_loss_are_poisoned() -> None:
    result = outcome_of(recipe("fp16-unscaled", steps=(step(0, 4.557, parameters_finite=False),)))
    assert (result.outcome, result.step, result.phase) == ("poisoned", 0, "optimizer")
    assert result.description == (
        "the loss of step 0 is finite (4.5570), but the optimizer then set trainable parameters in float32 to NaN or"
        " infinity"
    )


def test_the_first_poisoned_parameter_is_named() -> None:
    bad = step(0, 4.557, parameters_finite=False, first_bad_parameter="layers.0.q_proj.lora_A")
    result = outcome_of(recipe("fp16-unscaled", steps=(bad,)))
    assert result.description.endswith("to NaN or infinity (the first is layers.0.q_proj.lora_A)")


def test_a_loss_that_is_not_finite_decides_in_the_forward_phase() -> None:
    result = outcome_of(recipe("bf16", steps=(step(0, 4.5), step(1, None, parameters_finite=False))))
    assert (result.outcome, result.step, result.phase) == ("non-finite", 1, "forward")


def test_bad_gradients_of_a_finite_loss_decide_in_the_backward_phase() -> None:
    bad = step(0, 4.5, gradients=gradients(non_finite=3), parameters_finite=False)
    result = outcome_of(recipe("bf16", steps=(bad,)))
    assert (result.outcome, result.phase) == ("non-finite", "backward")
    assert result.description == "the gradients of 3 of 10 tensors are not finite"


def test_the_first_bad_gradient_is_named() -> None:
    named = gradients(non_finite=3, first_non_finite="patch.weight")
    result = outcome_of(recipe("bf16", steps=(step(0, 4.5, gradients=named, parameters_finite=False),)))
    assert result.description.endswith("are not finite (the first is patch.weight)")


def skipped(scale: float) -> dict[str, Any]:
    return {"taken": False, "scale": scale, "gradients": gradients(non_finite=10)}


def test_a_scaler_may_skip_its_first_steps() -> None:
    calibrating = (step(0, 4.5, **skipped(65536.0)), step(1, 4.5, **skipped(32768.0)))
    steps = (*calibrating, *(step(number, 4.5 - number / 10, scale=16384.0) for number in range(2, 8)))
    result = outcome_of(recipe("fp16-amp", steps=steps))
    assert result.outcome == "finite"
    assert result.description == (
        "the loss fell from 4.5000 to 3.8000 in 6 steps; GradScaler skipped 2 steps (loss scale 65536 to 16384)"
    )
    assert (result.steps_skipped, result.scales[:3]) == (2, (65536.0, 32768.0, 16384.0))


def test_a_training_without_a_taken_step_is_frozen() -> None:
    steps = tuple(step(number, 4.9086, **skipped(65536.0 / 2**number)) for number in range(18))
    result = outcome_of(recipe("fp16-scaled", steps=steps))
    assert (result.outcome, result.steps_taken) == ("frozen", 0)
    assert "none of the 18 optimizer steps was taken" in result.description


def test_zero_gradients_that_the_control_does_not_have_are_underflow() -> None:
    result = outcome_of(recipe("fp16-unscaled", steps=falling_with(zero=9)))
    assert result.outcome == "underflow"
    assert result.description == "9 of 10 tensors have a gradient of 0 in every element here, but not under fp32"


def test_zero_gradients_that_the_control_has_too_are_not_underflow() -> None:
    steps = falling_with(zero=9)
    probe = probe_run(recipe("fp32", steps=steps), recipe("bf16", steps=steps))
    assert {result.outcome for result in outcomes(probe) if result.recipe in {"fp32", "bf16"}} == {"finite"}


def test_a_fifth_of_all_tensors_without_a_gradient_is_weak() -> None:
    result = outcome_of(recipe("bf16", steps=falling_with(missing=2, first_missing="added.weight")))
    assert result.outcome == "weak"
    assert result.description == "2 of 10 trainable tensors get no gradient (the first is added.weight)"


def test_one_adapter_without_a_gradient_is_weak_and_one_other_tensor_is_not() -> None:
    def with_missing(**counts: Any) -> RecipeOutcome:  # noqa: ANN401
        return outcome_of(recipe("bf16", steps=falling_with(tensors=100, missing=1, first_missing="x", **counts)))

    assert with_missing(missing_adapters=1).outcome == "weak"
    result = with_missing()
    assert result.outcome == "finite"
    assert "1 of 100 trainable tensors get no gradient" in result.description


def test_many_vanished_gradients_are_underflow_and_few_are_mentioned() -> None:
    assert outcome_of(recipe("fp16-unscaled", vanished=0.6)).outcome == "underflow"
    result = outcome_of(recipe("fp16-unscaled", vanished=0.14))
    assert (result.outcome, result.vanished) == ("finite", 0.14)
    assert "14% of the gradients underflow to 0" in result.description


def test_a_step_that_changes_half_of_the_adapters_is_mentioned_and_a_smaller_one_is_weak() -> None:
    adapters = Adapters(dtypes=("bfloat16",), tensors=1, elements=1, would_move={"bfloat16": {4096: 0.51, 14336: 0.9}})
    result = outcome_of(recipe("bf16", adapters=adapters))
    assert (result.outcome, result.would_move) == ("finite", 0.51)
    assert "one step changes 51% of the adapter weights" in result.description
    smaller = adapters.model_copy(update={"would_move": {"bfloat16": {4096: 0.07}}})
    assert outcome_of(recipe("bf16", adapters=smaller)).outcome == "weak"


def test_a_training_in_which_hardly_a_parameter_changes_is_weak() -> None:
    assert outcome_of(recipe("bf16", moved=0.03)).outcome == "weak"


@pytest.mark.parametrize("last", [4.5, 4.6])
def test_a_loss_that_does_not_fall_is_weak(last: float) -> None:
    assert outcome_of(recipe("bf16", steps=(step(0, 4.5), step(1, last)))).outcome == "weak"


def test_an_exception_is_an_error_with_its_place() -> None:
    result = outcome_of(failed("fp16-scaled", failure("Attempting to unscale FP16 gradients.", type="ValueError")))
    assert result.outcome == "error"
    assert result.description == "ValueError: Attempting to unscale FP16 gradients, raised at torch/x.py:7"


NOT_IMPLEMENTED = "\"addmm_impl_cpu_\" not implemented for 'Half'"


def test_a_half_operation_that_a_cpu_lacks_is_unsupported() -> None:
    assert outcome_of(failed("fp16-scaled", failure(NOT_IMPLEMENTED))).outcome == "unsupported"


def test_a_half_operation_that_a_gpu_lacks_is_an_error() -> None:
    assert outcome_of(failed("fp16-scaled", failure(NOT_IMPLEMENTED)), device=cuda_device()).outcome == "error"


def test_a_recipe_that_the_worker_could_not_try_is_unsupported() -> None:
    result = outcome_of(recipe("fp16-scaled", steps=(), unsupported="no GradScaler here"))
    assert (result.outcome, result.description) == ("unsupported", "no GradScaler here")


def interrupted_run(**fields: Any) -> ProbeRun:  # noqa: ANN401
    unfinished = recipe("bf16", finished=False, seconds=None, moved=None, steps=falling(2))
    return probe_run(recipes=(recipe("fp32"), unfinished), **fields)


def test_a_crash_during_a_recipe_is_an_error_of_the_recipe() -> None:
    result = outcomes(interrupted_run(ending="signal", child=child(ending="signal", code=None, signal="SIGSEGV")))[1]
    assert (result.outcome, result.step) == ("error", 2)
    assert result.description == "SIGSEGV killed the process at step 2"


def test_a_kill_for_memory_is_an_error_of_the_recipe() -> None:
    result = outcomes(interrupted_run(ending="out-of-memory"))[1]
    assert (result.outcome, result.step) == ("error", 2)
    assert "memory ran out" in result.description


@pytest.mark.parametrize("ending", ["timeout", "interrupted", "flood", "exit"])
def test_a_recipe_that_was_interrupted_is_not_measured(ending: str) -> None:
    assert outcomes(interrupted_run(ending=ending))[1].outcome is None


def test_a_recipe_that_ends_without_a_step_is_not_measured() -> None:
    assert outcome_of(recipe("bf16", steps=())).outcome is None
