"""The outcome of each recipe: pure functions over what the worker saw."""

import re

from vc2doctor.core.data import Data
from vc2doctor.core.precision import Outcome
from vc2doctor.probe.case import ENOUGH, FEW, Cause
from vc2doctor.probe.diagnosis import diagnose
from vc2doctor.probe.facts import BrokenOperation, Headroom, ProbeRun, RecipeRun, Step, StressRun
from vc2doctor.target.shared.recipes import CONTROL

_NOT_IMPLEMENTED = re.compile(
    r"not implemented for '(Half|BFloat16)'|does not support (bfloat16|float16|bf16|half)", re.IGNORECASE
)
_LIMITED_DEVICES = ("cpu", "mps")
_MOST_ZERO, _MOST_VANISHED = 0.25, 0.5
"""Share of the tensors, and of the elements, whose gradients may be exactly zero and are not in float32. Miniatures
with outliers of documented size train on with 11 % of the tensors and 14 % of the elements gone (``vc2doctor probe
--stress``, fp16-unscaled, seed 0)."""
_WORTH_TELLING = 0.01


_ONLY_A_GPU = (
    "its own float16 and bfloat16 kernels, and their speed",
    "CUDA's list of what autocast leaves in float32",
    "foreach and fused optimisers",
    "flash-attention",
    "memory",
)


class RecipeOutcome(Data):
    """What became of one recipe, and why it is called so."""

    recipe: str
    outcome: Outcome | None
    """``None``: the probe ended while it ran, so nothing is known."""
    description: str
    first_loss: float | None = None
    last_loss: float | None = None
    steps_taken: int = 0
    steps_skipped: int = 0
    """Attempts in which a GradScaler kept the optimiser from stepping."""
    scales: tuple[float, ...] = ()
    """The scaler's course: its scale before each attempt."""
    vanished: float | None = None
    """Share of the gradient elements that are exactly zero here and not in float32."""
    would_move: float | None = None
    """Share of the adapters' weights that one step at the project's width and learning rate changes."""
    step: int | None = None
    """Where it went wrong."""
    phase: str | None = None
    adapters: tuple[str, ...] = ()
    """The dtypes of the adapters."""
    cause: Cause | None = None
    """Why, where evidence decides."""
    where: BrokenOperation | None = None
    """The first operation that broke."""
    seconds: float | None = None


class SelfTest(Data):
    """Whether the instrument saw a planted fault, and passed its clean twin."""

    fault: str
    seen: bool
    passed: bool


class Stress(Data):
    """What planted outliers of documented size do to the recipes: the same on every machine."""

    plant: str
    headroom: Headroom | None
    recipes: tuple[RecipeOutcome, ...]


def self_test(run: ProbeRun) -> SelfTest | None:
    """Return how the instrument did, judged as any recipe is; ``None``: the worker did not come so far."""
    test = run.self_test
    if test is None:
        return None
    seen = _classify(test.faulty, None, run)[0] in ("poisoned", "non-finite")
    return SelfTest(fault=test.fault, seen=seen, passed=_classify(test.clean, None, run)[0] == "finite")


def stress(run: ProbeRun) -> tuple[Stress, ...]:
    """Return what each plant did."""
    return tuple(
        Stress(plant=one.plant, headroom=one.headroom, recipes=outcomes(_planted(run, one))) for one in run.stress
    )


def _planted(run: ProbeRun, stressed: StressRun) -> ProbeRun:
    return run.model_copy(update={"recipes": stressed.recipes, "headroom": stressed.headroom, "range_broken": None})


def not_measured(run: ProbeRun) -> tuple[str, ...]:
    """Return what only a GPU can say, where the probe ran on none."""
    if run.device is None or run.device.type == "cuda":
        return ()
    return _ONLY_A_GPU


def outcomes(run: ProbeRun) -> tuple[RecipeOutcome, ...]:
    """Return the outcome of every recipe that was begun, in order."""
    control = run.recipe(CONTROL)
    return tuple(_outcome(recipe, control, run) for recipe in run.recipes)


def _outcome(recipe: RecipeRun, control: RecipeRun | None, run: ProbeRun) -> RecipeOutcome:
    outcome, told, step, phase = _classify(recipe, control, run)
    losses = [attempt.loss for attempt in recipe.steps]
    bad = outcome not in ("finite", "unsupported", None)
    return RecipeOutcome(
        cause=diagnose(recipe, run) if bad else None,
        where=recipe.located.broken if recipe.located else None,
        recipe=recipe.recipe,
        outcome=outcome,
        description=told,
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        steps_taken=_taken(recipe),
        steps_skipped=sum(attempt.scale is not None and not attempt.taken for attempt in recipe.steps),
        scales=tuple(attempt.scale for attempt in recipe.steps if attempt.scale is not None),
        vanished=recipe.vanished,
        would_move=recipe.would_move,
        step=step,
        phase=phase,
        adapters=recipe.adapters.dtypes if recipe.adapters else (),
        seconds=recipe.seconds,
    )


_Classified = tuple[Outcome | None, str, int | None, str | None]


def _classify(recipe: RecipeRun, control: RecipeRun | None, run: ProbeRun) -> _Classified:
    if recipe.unsupported is not None:
        return "unsupported", recipe.unsupported, None, None
    if recipe.failure is not None:
        return _raised(recipe, run)
    bad = _first_bad(recipe)
    if bad is not None:
        return bad
    if not recipe.finished:
        return _cut_off(recipe, run)
    return _finite(recipe, control)


def _raised(recipe: RecipeRun, run: ProbeRun) -> _Classified:
    failure = recipe.failure
    assert failure is not None  # noqa: S101 - the caller looked
    message = f"{failure.error.type}: {failure.error.message.rstrip('.')}"
    device = run.device.type if run.device else "cpu"
    if device in _LIMITED_DEVICES and _NOT_IMPLEMENTED.search(message):
        return "unsupported", f"{message} (on {device})", None, failure.phase
    where = f", raised at {failure.error.file}:{failure.error.line}" if failure.error.file else ""
    what = "out of memory: " if failure.memory else ""
    return "error", f"{what}{message}{where}", len(recipe.steps), failure.phase


def _first_bad(recipe: RecipeRun) -> _Classified | None:
    scaled = any(step.scale is not None for step in recipe.steps)
    for step in recipe.steps:
        if step.loss is None:
            return "non-finite", f"the loss of step {step.step} is not finite", step.step, "forward"
        if step.gradients.non_finite and not (scaled and not step.taken):
            counted = f"{step.gradients.non_finite} of {step.gradients.tensors}"
            first = f", {step.gradients.first_non_finite} first" if step.gradients.first_non_finite else ""
            return "non-finite", f"the gradients of {counted} tensors are not finite{first}", step.step, "backward"
        if not step.parameters_finite:
            return "poisoned", _poisoned(recipe, step), step.step, "optimizer"
    return None


def _poisoned(recipe: RecipeRun, step: Step) -> str:
    kinds = " and ".join(recipe.adapters.dtypes) if recipe.adapters else "unknown"
    told = f"the optimiser made parameters non-finite at step {step.step}, after a finite loss of {step.loss:.4f}"
    first = f", {step.first_bad_parameter} first" if step.first_bad_parameter else ""
    return f"{told} (trainable parameters in {kinds}){first}"


def _cut_off(recipe: RecipeRun, run: ProbeRun) -> _Classified:
    step = len(recipe.steps)
    if run.ending == "signal":
        return "error", f"the process died of {run.child.signal} at step {step}", step, None
    if run.ending == "out-of-memory":
        return "error", f"the process was killed for want of memory at step {step}", step, None
    return None, f"not measured: the probe ended ({run.ending}) while it ran", None, None


def _finite(recipe: RecipeRun, control: RecipeRun | None) -> _Classified:
    if not recipe.steps:
        return None, "not measured: the worker reported no step", None, None
    if not _taken(recipe):
        told = f"the loss is finite, but none of {len(recipe.steps)} steps was taken{_course(recipe)}"
        return "frozen", told, None, "optimizer"
    last = recipe.steps[-1]
    return _underflow(recipe, control, last) or _weak(recipe, last) or ("finite", _fallen(recipe), None, None)


def _fallen(recipe: RecipeRun) -> str:
    first, last = _ends(recipe)
    told = f"loss {first:.4f} to {last:.4f} in {_taken(recipe)} steps"
    skipped = len(recipe.steps) - _taken(recipe)
    if skipped:
        told += f", after {skipped} skipped{_course(recipe)}"
    gradients = recipe.steps[-1].gradients
    if gradients.missing:
        told += f"; {gradients.missing} of {gradients.tensors} trainable tensors get no gradient"
    if recipe.vanished is not None and recipe.vanished >= _WORTH_TELLING:
        told += f"; {recipe.vanished:.0%} of the gradients vanish"
    share = recipe.would_move
    if share is not None and share < 1 - FEW:
        told += f"; one step at the project's rate would move {share:.0%} of the adapters"
    return told


def _course(recipe: RecipeRun) -> str:
    """Return the scaler's course in words."""
    scales = [step.scale for step in recipe.steps if step.scale is not None]
    return f" (scale {scales[0]:g} to {scales[-1]:g})" if scales else ""


def _underflow(recipe: RecipeRun, control: RecipeRun | None, last: Step) -> _Classified | None:
    zero = last.gradients.zero - (control.steps[-1].gradients.zero if control and control.steps else 0)
    if zero > _MOST_ZERO * last.gradients.tensors:
        told = f"the gradients of {zero} of {last.gradients.tensors} tensors are all zero here, and not under {CONTROL}"
        return "underflow", told, last.step, "backward"
    if recipe.vanished is not None and recipe.vanished > _MOST_VANISHED:
        told = f"{recipe.vanished:.0%} of the gradients that are other than zero under {CONTROL} are zero here"
        return "underflow", told, last.step, "backward"
    return None


def _weak(recipe: RecipeRun, last: Step) -> _Classified | None:
    seen = last.gradients
    if seen.missing_adapters or seen.missing > FEW * seen.tensors:
        told = f"{seen.missing} of {seen.tensors} trainable tensors get no gradient, {seen.first_missing} first"
        return "weak", told, last.step, "backward"
    share = recipe.would_move
    if share is not None and share < ENOUGH:
        told = f"at the project's learning rate one step would move {share:.0%} of the adapter weights"
        return "weak", told, None, "optimizer"
    if recipe.moved is not None and recipe.moved < FEW:
        return "weak", f"only {recipe.moved:.1%} of the trainable parameters moved", None, "optimizer"
    first, later = _ends(recipe)
    if later >= first:
        return "weak", f"the loss did not fall: {first:.4f} to {later:.4f}", None, None
    return None


def _ends(recipe: RecipeRun) -> tuple[float, float]:
    """Return the mean loss over all batches, at the first and at the last turn of each."""
    firsts: dict[int, float] = {}
    lasts: dict[int, float] = {}
    for step in recipe.steps:
        if step.loss is not None:
            firsts.setdefault(step.batch, step.loss)
            lasts[step.batch] = step.loss
    return sum(firsts.values()) / len(firsts), sum(lasts.values()) / len(lasts)


def _taken(recipe: RecipeRun) -> int:
    return sum(step.taken for step in recipe.steps)
