"""Judges the outcome of each recipe, by pure functions over the facts of a probe run."""

import re

from vc2doctor.core.data import Data
from vc2doctor.core.precision import Outcome
from vc2doctor.core.wording import counted
from vc2doctor.probe.case import Cause
from vc2doctor.probe.diagnose import diagnose
from vc2doctor.probe.facts import Headroom, PlanRate, ProbeRun, RecipeRun, Step, StressRun
from vc2doctor.probe.failed_step import BrokenOperation, StepWarning
from vc2doctor.probe.weak import (
    JudgedOutcome,
    first_and_last_loss,
    first_name,
    judge_comparison,
    judge_slower,
    judge_weak,
)
from vc2doctor.target.shared.recipes import CONTROL

_NOT_IMPLEMENTED = re.compile(
    r"not implemented for '(Half|BFloat16)'|does not support (bfloat16|float16|bf16|half)", re.IGNORECASE
)
_LIMITED_DEVICES = ("cpu", "mps")
"""Devices that lack half-precision operations; on a GPU the same message is an error."""

MAX_ZERO_SHARE = 0.25
"""Share of the tensors that may have only gradients of 0, although they do not in float32. Miniatures with outliers of
documented size still train at 11 % (``vc2doctor probe --stress``, fp16-unscaled, seed 0)."""
MAX_VANISHED_SHARE = 0.5
"""Share of the gradient elements that may be 0, although they are not in float32. The same miniatures train at 14 %."""
MIN_MENTIONED_VANISHED = 0.01
"""The description of a finite outcome mentions vanished gradients from this share on."""
MAX_MENTIONED_STEP = 0.9
"""The description of a finite outcome mentions the share of weights that one step changes if it is below this."""
_ONLY_ON_A_GPU = (
    "the GPU's float16 and bfloat16 kernels, and their speed",
    "CUDA autocast's list of operations that stay in float32",
    "foreach and fused optimizers",
    "flash-attention",
    "memory",
)

_FUSED_KERNELS = "the fused kernels of torch.compile, which round at other places (its graphs were captured and run)"


class StepPoint(Data):
    """One attempt at an optimizer step, as the curves of a report show it."""

    step: int
    batch: int
    """The batches take turns, so compare the losses of one batch."""
    loss: float | None
    """``None``: NaN or infinite."""
    gradient_norm: float | None
    """Norm of all gradients together, without the loss scale; ``None``: NaN or infinite."""
    taken: bool
    """``False``: a GradScaler skipped the step."""


class RecipeOutcome(Data):
    """The outcome of one recipe, and the reason for it."""

    recipe: str
    outcome: Outcome | None
    """``None``: unknown, because the probe ended during this recipe."""
    description: str
    first_loss: float | None = None
    last_loss: float | None = None
    steps: tuple[StepPoint, ...] = ()
    """Every attempt, in order."""
    steps_taken: int = 0
    steps_skipped: int = 0
    """Attempts in which a GradScaler skipped the optimizer's step."""
    scales: tuple[float, ...] = ()
    """The loss scale before each attempt."""
    vanished: float | None = None
    """Share of the gradient elements that are 0 here and not in float32."""
    would_move: float | None = None
    """Share of the adapter weights that one step at the project's width and learning rate changes."""
    plan_rate: PlanRate | None = None
    """What moves at the project's learning rate, where every weight is trained."""
    step: int | None = None
    """The step that failed."""
    phase: str | None = None
    adapters: tuple[str, ...] = ()
    """The dtypes of the adapters."""
    cause: Cause | None = None
    """The cause, if evidence decides."""
    where: BrokenOperation | None = None
    """The first operation that broke."""
    warnings: tuple[StepWarning, ...] = ()
    """What was warned of while the user's own model was built and trained."""
    seconds: float | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the recipe was trained here: it could run, and the probe did not end before its outcome."""
        return self.outcome not in ("unsupported", None)


class SelfTest(Data):
    """Whether the probe detected a planted fault, and passed its clean twin."""

    fault: str
    seen: bool
    passed: bool


class Stress(Data):
    """The outcomes of the recipes under planted outliers of documented size: the same on every machine."""

    plant: str
    headroom: Headroom | None
    recipes: tuple[RecipeOutcome, ...]


def self_test(run: ProbeRun) -> SelfTest | None:
    """Return the result of the self-test, judged as any recipe is; ``None``: the worker did not get that far."""
    test = run.self_test
    if test is None:
        return None
    faulty, clean = (_judge(recipe, None, run).outcome for recipe in (test.faulty, test.clean))
    return SelfTest(fault=test.fault, seen=faulty in ("poisoned", "non-finite"), passed=clean == "finite")


def stress(run: ProbeRun) -> tuple[Stress, ...]:
    """Return the outcomes under each set of planted outliers."""
    return tuple(
        Stress(plant=stressed.plant, headroom=stressed.headroom, recipes=_outcomes_under(stressed, run))
        for stressed in run.stress
    )


def _outcomes_under(stressed: StressRun, run: ProbeRun) -> tuple[RecipeOutcome, ...]:
    return outcomes(run.model_copy(update={"recipes": stressed.recipes}))


def not_measured(run: ProbeRun) -> tuple[str, ...]:
    """Return what only a CUDA GPU can show, if the probe ran on another device."""
    if run.device is None or run.device.type == "cuda":
        return ()
    is_compiled = any(each.variant == "compiled" for each in run.variants)
    return (*_ONLY_ON_A_GPU, _FUSED_KERNELS) if is_compiled else _ONLY_ON_A_GPU


def outcomes(run: ProbeRun) -> tuple[RecipeOutcome, ...]:
    """Return the outcome of every recipe that was started, in order."""
    control = run.recipe(CONTROL)
    return tuple(_outcome(recipe, control, run) for recipe in run.recipes)


def _outcome(recipe: RecipeRun, control: RecipeRun | None, run: ProbeRun) -> RecipeOutcome:
    judgement = _judge(recipe, control, run)
    losses = [step.loss for step in recipe.steps]
    is_bad = judgement.outcome not in ("finite", "unsupported", None)
    return RecipeOutcome(
        cause=diagnose(recipe, run) if is_bad else None,
        where=recipe.located.broken if recipe.located else None,
        recipe=recipe.recipe,
        outcome=judgement.outcome,
        description=judgement.description,
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        steps=tuple(map(_point, recipe.steps)),
        steps_taken=_count_taken(recipe),
        steps_skipped=sum(step.scale is not None and not step.taken for step in recipe.steps),
        scales=tuple(step.scale for step in recipe.steps if step.scale is not None),
        vanished=recipe.vanished,
        would_move=recipe.would_move,
        plan_rate=recipe.plan_rate,
        step=judgement.step,
        phase=judgement.phase,
        adapters=recipe.adapters.dtypes if recipe.adapters else (),
        warnings=recipe.warnings,
        seconds=recipe.seconds,
    )


def _point(step: Step) -> StepPoint:
    return StepPoint(
        step=step.step, batch=step.batch, loss=step.loss, gradient_norm=step.gradients.norm, taken=step.taken
    )


def _judge(recipe: RecipeRun, control: RecipeRun | None, run: ProbeRun) -> JudgedOutcome:
    if recipe.unsupported is not None:
        return JudgedOutcome(outcome="unsupported", description=recipe.unsupported)
    if recipe.failure is not None:
        return _judge_exception(recipe, run)
    bad = _judge_first_bad_step(recipe)
    if bad is not None:
        return bad
    if not recipe.finished:
        return _judge_interrupted(recipe, run)
    return _judge_finite(recipe, control, run)


def _judge_exception(recipe: RecipeRun, run: ProbeRun) -> JudgedOutcome:
    failure = recipe.failure
    assert failure is not None  # noqa: S101 - the caller looked
    message = f"{failure.error.type}: {failure.error.message.rstrip('.')}"
    # What follows a blank line are tips, which fill a screen.
    shown = message.partition("\n\n")[0].rstrip(".")
    device = run.device.type if run.device else "cpu"
    if device in _LIMITED_DEVICES and _NOT_IMPLEMENTED.search(message):
        return JudgedOutcome(outcome="unsupported", description=f"{message} (on {device})", phase=failure.phase)
    place = f", raised at {failure.error.file}:{failure.error.line}" if failure.error.file else ""
    prefix = "out of memory: " if failure.memory else ""
    return JudgedOutcome(
        outcome="error", description=f"{prefix}{shown}{place}", step=len(recipe.steps), phase=failure.phase
    )


def _judge_first_bad_step(recipe: RecipeRun) -> JudgedOutcome | None:
    scaled = any(step.scale is not None for step in recipe.steps)
    for step in recipe.steps:
        if step.loss is None:
            description = f"the loss of step {step.step} is not finite"
            return JudgedOutcome(outcome="non-finite", description=description, step=step.step, phase="forward")
        # A GradScaler skips a step with such gradients; that is how it finds its scale.
        if step.gradients.non_finite and not (scaled and not step.taken):
            description = (
                f"the gradients of {step.gradients.non_finite} of {step.gradients.tensors} tensors are not finite"
                f"{first_name(step.gradients.first_non_finite)}"
            )
            return JudgedOutcome(outcome="non-finite", description=description, step=step.step, phase="backward")
        if not step.parameters_finite:
            description = _describe_poisoned(recipe, step)
            return JudgedOutcome(outcome="poisoned", description=description, step=step.step, phase="optimizer")
    return None


def _describe_poisoned(recipe: RecipeRun, step: Step) -> str:
    dtypes = " and ".join(recipe.adapters.dtypes) if recipe.adapters else "an unknown dtype"
    return (
        f"the loss of step {step.step} is finite ({step.loss:.4f}), but the optimizer then set trainable parameters in"
        f" {dtypes} to NaN or infinity{first_name(step.first_bad_parameter)}"
    )


def _judge_interrupted(recipe: RecipeRun, run: ProbeRun) -> JudgedOutcome:
    step = len(recipe.steps)
    if run.ending == "signal":
        return JudgedOutcome(
            outcome="error", description=f"{run.child.signal} killed the process at step {step}", step=step
        )
    if run.ending == "out-of-memory":
        description = f"the kernel killed the process at step {step}, because memory ran out"
        return JudgedOutcome(outcome="error", description=description, step=step)
    return JudgedOutcome(outcome=None, description=f"not measured: the probe ended ({run.ending}) during this recipe")


def _judge_finite(recipe: RecipeRun, control: RecipeRun | None, run: ProbeRun) -> JudgedOutcome:
    if not recipe.steps:
        return JudgedOutcome(outcome=None, description="not measured: the worker reported no step")
    if not _count_taken(recipe):
        description = (
            f"the loss is finite, but none of the {len(recipe.steps)} optimizer steps was taken{_scale_course(recipe)}"
        )
        return JudgedOutcome(outcome="frozen", description=description, phase="optimizer")
    last = recipe.steps[-1]
    return (
        _judge_underflow(recipe, control, last)
        or judge_weak(recipe, control, last)
        or judge_comparison(recipe, run)
        or judge_slower(recipe, control)
        or JudgedOutcome(outcome="finite", description=_describe_finite(recipe))
    )


def _describe_finite(recipe: RecipeRun) -> str:
    first, last = first_and_last_loss(recipe)
    parts = [f"the loss fell from {first:.4f} to {last:.4f} in {counted(_count_taken(recipe), 'step')}"]
    skipped = len(recipe.steps) - _count_taken(recipe)
    if skipped:
        parts.append(f"GradScaler skipped {counted(skipped, 'step')}{_scale_course(recipe)}")
    if recipe.missing is not None:
        parts.append(f"{recipe.missing.missing} of {recipe.missing.tensors} trainable tensors get no gradient")
    elif recipe.untouched is not None and recipe.untouched.missing:
        untouched = recipe.untouched
        parts.append(
            f"{counted(untouched.missing, 'trainable tensor')} got no gradient in {untouched.passes} passes"
            " with other random draws, and chance can explain that"
        )
    if recipe.vanished is not None and recipe.vanished >= MIN_MENTIONED_VANISHED:
        parts.append(f"{recipe.vanished:.0%} of the gradients underflow to 0")
    share = recipe.would_move
    if share is not None and share < MAX_MENTIONED_STEP:
        parts.append(f"at the project's learning rate, one step changes {share:.0%} of the adapter weights")
    if recipe.plan_rate is not None:
        parts.append(recipe.plan_rate.description)
    return "; ".join(parts)


def _scale_course(recipe: RecipeRun) -> str:
    """Return the first and the last loss scale, in parentheses; nothing without loss scaling."""
    scales = [step.scale for step in recipe.steps if step.scale is not None]
    return f" (loss scale {scales[0]:g} to {scales[-1]:g})" if scales else ""


def _judge_underflow(recipe: RecipeRun, control: RecipeRun | None, last: Step) -> JudgedOutcome | None:
    if control is not None and control.no_signal is not None:
        # Rounding that float32 computes instead of 0 is no loss of bits.
        return None
    if recipe.exploded:
        # Zero gradients after an explosion come from saturated activations. Lost bits are not their reason.
        return None
    # Gradients that are 0 in float32 as well have another reason, such as LoRA's zero-initialized B.
    zero = last.gradients.zero - (control.steps[-1].gradients.zero if control and control.steps else 0)
    if zero > MAX_ZERO_SHARE * last.gradients.tensors:
        description = (
            f"{zero} of {last.gradients.tensors} tensors have a gradient of 0 in every element here, but not under"
            f" {CONTROL}"
        )
    elif recipe.vanished is not None and recipe.vanished > MAX_VANISHED_SHARE:
        description = f"{recipe.vanished:.0%} of the gradients that are not 0 under {CONTROL} are 0 here"
    else:
        return None
    return JudgedOutcome(outcome="underflow", description=description, step=last.step, phase="backward")


def _count_taken(recipe: RecipeRun) -> int:
    return sum(step.taken for step in recipe.steps)
