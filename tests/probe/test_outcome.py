"""The outcome of a recipe, judged from its facts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import child, cuda_device, failed, failure, falling, probe_run, recipe, step
from vc2doctor.probe.facts import (
    Adapters,
    Gradients,
    Headroom,
    Operation,
    PeakValue,
    PlanRate,
    ProbeRun,
    RecipeRun,
    SelfTestRun,
    Step,
    StressRun,
    VariantRun,
)
from vc2doctor.probe.failed_step import BreakLocation, BrokenOperation
from vc2doctor.probe.outcome import RecipeOutcome, not_measured, outcomes, self_test, stress


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


def test_outcome_has_every_step_for_the_curves_of_a_report() -> None:
    steps = (
        step(0, 4.5, taken=False, scale=65536.0, gradients=gradients(non_finite=2)),
        step(1, 4.4, batch=1, scale=32768.0, gradients=gradients(norm=1.5)),
        step(2, None, scale=32768.0, gradients=gradients(norm=2.5)),
    )
    result = outcome_of(recipe("fp16-amp", steps=steps))
    assert [(each.step, each.batch, each.loss, each.gradient_norm, each.taken) for each in result.steps] == [
        (0, 0, 4.5, None, False),
        (1, 1, 4.4, 1.5, True),
        (2, 0, None, 2.5, True),
    ]


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


@pytest.mark.parametrize(("moved", "outcome"), [(0.019, "weak"), (0.44, "weak"), (0.45, "finite"), (1.0, "finite")])
def test_what_moves_at_the_projects_rate_decides_where_every_weight_is_trained(moved: float, outcome: str) -> None:
    rate = PlanRate(learning_rate=1e-6, steps=8, moved=moved, norms=0.0)
    result = outcome_of(recipe("full-bf16", plan_rate=rate))
    assert (result.outcome, result.plan_rate) == (outcome, rate)
    assert result.phase == ("optimizer" if outcome == "weak" else None)
    clause = f"at a learning rate of 1e-06, 8 steps move {moved:.1%} of the weights and 0.0% of the weights of norms"
    assert clause in result.description
    assert (result.cause is not None and result.cause.id == "weights-round-updates-away") is (outcome == "weak")


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


POISONED = (step(0, 4.557, parameters_finite=False),)


class TestReport:
    """What an outcome tells beside its name."""

    def test_a_bad_outcome_has_a_cause_and_its_place_and_a_good_one_has_no_cause(self) -> None:
        operation = BrokenOperation(
            phase="forward",
            module="layers.2",
            op="mul",
            dtype="float16",
            largest=(9.0,),
            exact=1e5,
            ignored_rows_only=False,
        )
        place = BreakLocation(step=0, phase="forward", broken=operation, parameter=None)
        result = outcome_of(recipe("fp16-scaled", steps=(step(0, None),), located=place))
        assert result.cause is not None
        assert (result.cause.id, result.where) == ("forward-overflow", operation)
        # The same facts with a good outcome: nothing needs a cause.
        assert outcome_of(recipe("fp16-scaled", located=place)).cause is None
        assert outcome_of(recipe("fp16-scaled", steps=(), unsupported="no GradScaler", located=place)).cause is None

    def test_dtypes_of_the_adapters_and_the_time_are_told_if_they_are_known(self) -> None:
        known = outcome_of(recipe("bf16", seconds=0.25))
        assert (known.adapters, known.seconds) == (("float32",), 0.25)
        unknown = outcome_of(recipe("bf16", adapters=None, seconds=None))
        assert (unknown.adapters, unknown.seconds) == ((), None)

    def test_poisoned_parameters_of_an_unknown_dtype_are_described_so(self) -> None:
        result = outcome_of(recipe("fp16-unscaled", adapters=None, steps=POISONED))
        assert "parameters in an unknown dtype to NaN" in result.description

    @pytest.mark.parametrize(
        ("run", "step_number", "phase"),
        [
            (recipe("bf16", steps=(step(0, 4.5), step(1, 4.4, gradients=gradients(non_finite=3)))), 1, "backward"),
            (recipe("fp16-amp", steps=tuple(step(n, 4.5, **skipped(2.0**n)) for n in range(3))), None, "optimizer"),
            (recipe("fp16-unscaled", steps=falling_with(zero=9)), 5, "backward"),
            (recipe("fp16-unscaled", vanished=0.6), 5, "backward"),
            (recipe("bf16", steps=falling_with(missing=2)), 5, "backward"),
            (recipe("bf16", moved=0.03), None, "optimizer"),
            (failed("bf16", failure(), phase="backward"), 0, "backward"),
        ],
    )
    def test_step_and_phase_lead_to_the_place_in_the_training(
        self, run: RecipeRun, step_number: int | None, phase: str
    ) -> None:
        result = outcome_of(run)
        assert (result.step, result.phase) == (step_number, phase)

    def test_an_exception_at_a_later_step_tells_that_step(self) -> None:
        run = failed("bf16", failure(), phase="optimizer").model_copy(update={"steps": falling(2)})
        assert (outcome_of(run).step, outcome_of(run).phase) == (2, "optimizer")

    def test_an_exception_without_a_file_has_no_place(self) -> None:
        assert outcome_of(failed("bf16", failure("no device X.", file=None))).description == "RuntimeError: no device X"

    def test_memory_that_ran_out_is_said_first(self) -> None:
        run = failed("bf16", failure())
        assert run.failure is not None
        full = run.model_copy(update={"failure": run.failure.model_copy(update={"memory": True})})
        assert outcome_of(full).description.startswith("out of memory: RuntimeError")

    def test_steps_without_a_scaler_have_no_scale_in_the_description(self) -> None:
        steps = (step(0, 4.5), step(1, 4.5, taken=False), step(2, 4.4))
        assert outcome_of(recipe("fp16-amp", steps=steps)).description.endswith("in 2 steps; GradScaler skipped 1 step")

    def test_the_course_of_the_scale_ends_with_the_last_attempt(self) -> None:
        steps = (step(0, 4.5, **skipped(8.0)), step(1, 4.4, scale=4.0), step(2, 4.3, scale=2.0))
        assert "(loss scale 8 to 2)" in outcome_of(recipe("fp16-amp", steps=steps)).description


def test_an_unsupported_operation_tells_its_phase_and_device() -> None:
    result = outcome_of(failed("fp16-scaled", failure(NOT_IMPLEMENTED), phase="backward"))
    assert (result.phase, result.description[-9:]) == ("backward", " (on cpu)")


def test_a_probe_that_never_reported_its_device_is_judged_as_on_a_cpu() -> None:
    assert outcome_of(failed("fp16-scaled", failure(NOT_IMPLEMENTED)), device=None).outcome == "unsupported"


def test_a_scaler_that_takes_a_step_with_bad_gradients_is_non_finite() -> None:
    # Without a check of the gradients, a GradScaler's wrapper steps with what it has.
    bad = step(0, 4.5, scale=65536.0, taken=True, gradients=gradients(non_finite=3))
    assert outcome_of(recipe("fp16-amp", steps=(bad, step(1, 4.4, scale=65536.0)))).outcome == "non-finite"


class TestLastStepDecides:
    """Adapters start with a B of zeros, so the first steps have gradients of 0 in every precision."""

    ZERO_FIRST = (
        step(0, 4.5, gradients=gradients(zero=5, missing=2)),
        step(1, 4.4, gradients=gradients(zero=5, missing=2)),
        step(2, 4.3),
    )
    ZERO_LAST = (step(0, 4.5), step(1, 4.4), step(2, 4.3, gradients=gradients(zero=5)))

    def test_zero_and_missing_gradients_of_earlier_steps_do_not_count(self) -> None:
        result = outcome_of(recipe("fp16-unscaled", steps=self.ZERO_FIRST))
        assert (result.outcome, "no gradient" in result.description) == ("finite", False)

    def test_zero_gradients_of_the_last_step_count(self) -> None:
        assert outcome_of(recipe("fp16-unscaled", steps=self.ZERO_LAST)).outcome == "underflow"

    def test_the_control_is_compared_at_its_last_step(self) -> None:
        run = recipe("fp16-unscaled", steps=self.ZERO_LAST)
        for control, expected in ((self.ZERO_LAST, "finite"), (self.ZERO_FIRST, "underflow")):
            probe = probe_run(run, recipe("fp32", steps=control))
            assert {o.outcome for o in outcomes(probe) if o.recipe == run.recipe} == {expected}

    def test_without_a_control_all_zero_gradients_count(self) -> None:
        three = recipe("fp16-unscaled", steps=falling_with(zero=3))
        (result,) = outcomes(probe_run(recipes=(three,)))
        assert result.outcome == "underflow"


class TestLimits:
    """A value at a limit is still good: each limit is the worst that was seen to train, or is asked of training."""

    def test_a_quarter_of_zero_gradients_is_allowed(self) -> None:
        steps = falling_with(tensors=8, zero=2)
        assert outcome_of(recipe("fp16-unscaled", steps=steps)).outcome == "finite"

    def test_half_of_the_gradients_may_vanish_and_one_percent_is_mentioned(self) -> None:
        assert outcome_of(recipe("fp16-unscaled", vanished=0.5)).outcome == "finite"
        assert "1% of the gradients underflow" in outcome_of(recipe("bf16", vanished=0.01)).description
        assert "underflow" not in outcome_of(recipe("bf16", vanished=0.009)).description

    def test_a_tenth_of_the_tensors_may_get_no_gradient(self) -> None:
        assert outcome_of(recipe("bf16", steps=falling_with(missing=1))).outcome == "finite"

    @pytest.mark.parametrize(("share", "outcome", "phase"), [(0.45, "finite", None), (0.44, "weak", "optimizer")])
    def test_a_step_must_change_45_percent_of_the_adapters(self, share: float, outcome: str, phase: str | None) -> None:
        adapters = Adapters(dtypes=("bfloat16",), tensors=1, elements=1, would_move={"bfloat16": {4096: share}})
        result = outcome_of(recipe("bf16", adapters=adapters))
        assert (result.outcome, result.phase) == (outcome, phase)

    def test_a_step_that_changes_nine_tenths_is_not_mentioned(self) -> None:
        adapters = Adapters(dtypes=("bfloat16",), tensors=1, elements=1, would_move={"bfloat16": {4096: 0.9}})
        assert "one step" not in outcome_of(recipe("bf16", adapters=adapters)).description

    def test_a_tenth_of_the_parameters_must_move(self) -> None:
        assert outcome_of(recipe("bf16", moved=0.1)).outcome == "finite"


def test_the_loss_falls_if_the_mean_over_the_batches_does() -> None:
    # The second batch is harder: its first loss is above the last one of the first batch.
    losses = ((0, 4.0), (1, 6.0), (0, 3.0), (1, 5.0))
    steps = tuple(step(number, loss, batch=batch) for number, (batch, loss) in enumerate(losses))
    result = outcome_of(recipe("bf16", steps=steps))
    assert result.description == "the loss fell from 5.0000 to 4.0000 in 4 steps"


def test_a_self_test_is_seen_and_passed_as_its_two_trainings_end() -> None:
    def judged(faulty: RecipeRun, clean: RecipeRun) -> tuple[bool, bool]:
        test = self_test(probe_run(self_test=SelfTestRun(fault="a fault", faulty=faulty, clean=clean)))
        assert test is not None
        assert test.fault == "a fault"
        return test.seen, test.passed

    good, poisoned = recipe("self-test"), recipe("self-test", steps=POISONED)
    non_finite, weak = recipe("self-test", steps=(step(0, None),)), recipe("self-test", moved=0.0)
    assert judged(poisoned, good) == (True, True)
    assert judged(non_finite, good) == (True, True)
    assert judged(weak, good) == (False, True)
    assert judged(poisoned, weak) == (True, False)
    assert judged(failed("self-test", failure()), failed("self-test", failure())) == (False, False)
    assert self_test(probe_run()) is None


def test_outcomes_under_planted_outliers_are_those_of_their_own_run() -> None:
    headroom = Headroom(tightest=PeakValue(module="layers.0", op="mul", largest=5e4), layers={"layers.0": 5e4})
    overflow = recipe("fp16-scaled", steps=(step(0, None),))
    stressed = StressRun(plant="outliers", headroom=headroom, recipes=(overflow,))
    (result,) = stress(probe_run(stress=(stressed,), range_broken=Operation(module="lm_head", op="mm")))
    assert (result.plant, result.headroom) == ("outliers", headroom)
    assert [(outcome.recipe, outcome.outcome) for outcome in result.recipes] == [("fp16-scaled", "non-finite")]
    assert stress(probe_run()) == ()


def test_only_a_cuda_gpu_measures_everything() -> None:
    assert "flash-attention" in not_measured(probe_run())
    assert not_measured(probe_run(device=cuda_device())) == ()
    assert not_measured(probe_run(device=None)) == ()


@pytest.mark.parametrize(("variant", "count"), [("compiled", 1), ("eager", 0)])
def test_fused_kernels_are_not_measured_where_only_the_graph_was_compiled(variant: str, count: int) -> None:
    plain = not_measured(probe_run())
    compiled = not_measured(probe_run(variants=(VariantRun(variant=variant),)))
    assert compiled[: len(plain)] == plain
    assert len([text for text in compiled[len(plain) :] if "fused kernels of torch.compile" in text]) == count


@pytest.mark.parametrize(("outcome", "is_measured"), [("unsupported", False), (None, False), ("finite", True)])
def test_recipe_that_could_not_run_or_has_no_outcome_is_not_measured(outcome: Any, *, is_measured: bool) -> None:  # noqa: ANN401
    assert outcome_of(recipe("bf16")).model_copy(update={"outcome": outcome}).is_measured is is_measured


@pytest.mark.parametrize(
    ("loss", "text"), [(4.5, "4.5000"), (999_999.0, "999999.0000"), (1e6, "1e+06"), (123_456_789.0, "1.235e+08")]
)
def test_huge_losses_are_shown_with_four_significant_digits(loss: float, text: str) -> None:
    result = outcome_of(recipe("bf16", steps=tuple(step(number, loss) for number in range(6))))
    assert result.description == f"the loss did not fall: it went from {text} to {text}"
