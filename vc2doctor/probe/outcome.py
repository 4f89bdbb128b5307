"""The outcome of each recipe: pure functions over what the worker saw."""

import re

from vc2doctor.data import Data
from vc2doctor.matrix.model import Outcome
from vc2doctor.probe.diagnosis import Cause, diagnose
from vc2doctor.probe.model import Broken, ProbeRun, RecipeRun, Step
from vc2doctor.probe.worker.recipes import CONTROL

_NOT_IMPLEMENTED = re.compile(
    r"not implemented for '(Half|BFloat16)'|does not support (bfloat16|float16|bf16|half)", re.IGNORECASE
)
_LIMITED_DEVICES = ("cpu", "mps")
_ENOUGH = 0.45
"""Share of the adapters that one step should move at the project's own width and learning rate; bfloat16 adapters at
2e-5 and width 4096 sit at a half."""
_FEW = 0.1
"""Share of the tensors whose gradients may vanish, and of the elements that must move."""


class RecipeOutcome(Data):
    """What became of one recipe, and why it is called so."""

    recipe: str
    outcome: Outcome | None
    """``None``: the probe ended while it ran, so nothing is known."""
    told: str
    first_loss: float | None = None
    last_loss: float | None = None
    steps_taken: int = 0
    step: int | None = None
    """Where it went wrong."""
    phase: str | None = None
    adapters: tuple[str, ...] = ()
    """The dtypes of the adapters."""
    cause: Cause | None = None
    """Why, where evidence decides."""
    where: Broken | None = None
    """The first operation that broke."""
    seconds: float | None = None


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
        told=told,
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        steps_taken=_taken(recipe),
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
    message = f"{failure.error.type}: {failure.error.message}"
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
            return "non-finite", f"the gradients of {counted} tensors are not finite", step.step, "backward"
        if not step.parameters_finite:
            return "poisoned", _poisoned(recipe, step), step.step, "optimizer"
    return None


def _poisoned(recipe: RecipeRun, step: Step) -> str:
    kinds = " and ".join(recipe.adapters.dtypes) if recipe.adapters else "unknown"
    told = f"the optimiser made parameters non-finite at step {step.step}, after a finite loss of {step.loss:.4f}"
    return f"{told} (trainable parameters in {kinds})"


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
    taken = _taken(recipe)
    attempts = len(recipe.steps)
    if not taken:
        return "frozen", f"the loss is finite, but none of {attempts} steps was taken", None, "optimizer"
    last = recipe.steps[-1]
    zero = last.gradients.zero - (control.steps[-1].gradients.zero if control and control.steps else 0)
    if zero > _FEW * last.gradients.tensors:
        told = f"the gradients of {zero} of {last.gradients.tensors} tensors are all zero here, and not under {CONTROL}"
        return "underflow", told, last.step, "backward"
    return _weak(recipe, last) or ("finite", _fallen(recipe, taken), None, None)


def _fallen(recipe: RecipeRun, taken: int) -> str:
    first, last = _ends(recipe)
    return f"loss {first:.4f} to {last:.4f} in {taken} steps"


def _weak(recipe: RecipeRun, last: Step) -> _Classified | None:
    if last.gradients.missing:
        counted = f"{last.gradients.missing} of {last.gradients.tensors}"
        return "weak", f"{counted} trainable tensors get no gradient", last.step, "backward"
    shares = [
        share
        for widths in (recipe.adapters.would_move if recipe.adapters else {}).values()
        for share in widths.values()
    ]
    if shares and min(shares) < _ENOUGH:
        told = f"at the project's learning rate one step would move {min(shares):.0%} of the adapter weights"
        return "weak", told, None, "optimizer"
    if recipe.moved is not None and recipe.moved < _FEW:
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
