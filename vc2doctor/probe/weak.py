"""Judges a training in which every step is finite: whether weights move, by gradients with a signal, and it helps."""

from typing import NamedTuple

from vc2doctor.core.precision import Outcome
from vc2doctor.core.wording import counted
from vc2doctor.probe.case import MIN_MOVED_SHARE, MIN_STEP_SHARE
from vc2doctor.probe.facts import ProbeRun, RecipeRun, Step
from vc2doctor.probe.failed_step import NoSignal
from vc2doctor.probe.step_warnings import rows_compared_with_all
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

MAX_MISSING_SHARE = 0.1
"""Share of the trainable tensors that may get no gradient; none of the adapters may."""
_MIN_FALL = 0.02
"""Relative fall of the loss in float32 from which on others are compared with it."""
_MAX_FALL_SHARE = 0.2
"""Share of that fall below which another precision hardly learns. In 180 trainings in half precision without such a
fault the lowest share is 0.83; in two with one it is 0.001 and 0.11."""
_HUGE_LOSS = 1e6
"""A loss from here on is shown without digits after the point."""


class JudgedOutcome(NamedTuple):
    """An outcome, its description, and the step and phase that decide it."""

    outcome: Outcome | None
    description: str
    step: int | None = None
    phase: str | None = None


def judge_weak(recipe: RecipeRun, control: RecipeRun | None, last: Step) -> JudgedOutcome | None:
    """Return the outcome of a training that hardly moves, or whose loss does not fall; ``None``: it is another one."""
    # Only float32 shows what is rounding.
    silent = recipe.no_signal or (control.no_signal if control is not None else None)
    return _judge_gradients(recipe, silent, last) or _judge_movement(recipe)


def _judge_gradients(recipe: RecipeRun, silent: NoSignal | None, last: Step) -> JudgedOutcome | None:
    missing = recipe.missing
    description = None
    if missing is not None and (
        missing.missing_adapters or missing.missing > MAX_MISSING_SHARE * last.gradients.tensors
    ):
        first = first_name(missing.first_missing)
        description = f"{missing.missing} of {missing.tensors} trainable tensors get no gradient{first}"
    elif recipe.made_in_forward is not None:
        made = recipe.made_in_forward
        description = f"the forward pass makes {counted(made.tensors, 'trainable tensor')}{first_name(made.first)}"
    elif recipe.unregistered is not None:
        kept = recipe.unregistered
        description = (
            f"the loss depends on {counted(kept.tensors, 'tensor')} that the model does not count among its parameters"
            f"{first_name(kept.first)}"
        )
    elif recipe.has_no_gradient:
        # Weight decay alone can make the loss fall a little.
        description = "every gradient is 0 at every step"
    elif silent is not None:
        what = "0" if silent.exact else "0 or nothing but rounding"
        description = (
            f"the gradients of {silent.tensors} of {silent.of} trainable tensors are {what}{first_name(silent.first)}"
        )
    if description is None:
        return None
    return JudgedOutcome(outcome="weak", description=description, step=last.step, phase="backward")


def _judge_movement(recipe: RecipeRun) -> JudgedOutcome | None:
    share = recipe.would_move
    if share is not None and share < MIN_STEP_SHARE:
        description = f"at the project's learning rate, one step changes only {share:.0%} of the adapter weights"
        return JudgedOutcome(outcome="weak", description=description, phase="optimizer")
    rate = recipe.plan_rate
    # Where steps are rounded at random, few weights move in a step, and their mean is right.
    if rate is not None and RECIPES[recipe.recipe].rounding == "nearest" and rate.moved < MIN_STEP_SHARE:
        return JudgedOutcome(outcome="weak", description=rate.description, phase="optimizer")
    if recipe.moved is not None and recipe.moved < MIN_MOVED_SHARE:
        description = f"only {recipe.moved:.1%} of the trainable parameters changed"
        return JudgedOutcome(outcome="weak", description=description, phase="optimizer")
    first, later = first_and_last_loss(recipe)
    if later >= first:
        return JudgedOutcome(
            outcome="weak", description=f"the loss did not fall: it went from {_number(first)} to {_number(later)}"
        )
    return None


def judge_slower(recipe: RecipeRun, control: RecipeRun | None) -> JudgedOutcome | None:
    """Return the outcome of a loss that hardly falls where that of float32 does; ``None``: it keeps up, or is unknown.

    Both begin with the same weights, batches and random numbers.
    """
    falls = falls_beside_float32(recipe, control)
    if falls is None:
        return None
    return JudgedOutcome(
        outcome="weak", description=f"the loss fell by {falls[0]:.1%} only, and under {CONTROL} by {falls[1]:.1%}"
    )


def falls_beside_float32(recipe: RecipeRun, control: RecipeRun | None) -> tuple[float, float] | None:
    """Return the relative falls of the loss here and in float32, if the loss stays where it is here only."""
    if control is None or control.recipe == recipe.recipe or not _are_comparable(recipe, control):
        return None
    here, there = (_relative_fall(run) for run in (recipe, control))
    if here is None or there is None or there < _MIN_FALL or abs(here) >= _MAX_FALL_SHARE * there:
        return None
    return here, there


def _are_comparable(recipe: RecipeRun, control: RecipeRun) -> bool:
    """Return whether both train the same weights, as many steps, and to the end."""
    counts = [sum(step.taken for step in run.steps) for run in (recipe, control)]
    is_same_kind = RECIPES[recipe.recipe].kind == RECIPES[control.recipe].kind
    return is_same_kind and counts[0] == counts[1] > 0 and not recipe.is_broken and not control.is_broken


def _relative_fall(run: RecipeRun) -> float | None:
    first, last = first_and_last_loss(run)
    return (first - last) / abs(first) if first else None


def judge_comparison(recipe: RecipeRun, run: ProbeRun) -> JudgedOutcome | None:
    """Return the outcome of a loss that compares each row with all rows; ``None``: it does not."""
    rows = rows_compared_with_all(recipe, run)
    if rows is None:
        return None
    description = f"the loss falls, but it compares each of {rows} rows with the targets of all rows"
    return JudgedOutcome(outcome="weak", description=description, phase="forward")


def _number(loss: float) -> str:
    """Return a loss with four digits after the point, or with four significant ones if it is huge."""
    return f"{loss:.4f}" if abs(loss) < _HUGE_LOSS else f"{loss:.4g}"


def first_name(name: str | None) -> str:
    """Return a clause with the first name of a list; nothing without one."""
    return f" (the first is {name})" if name else ""


def first_and_last_loss(recipe: RecipeRun) -> tuple[float, float]:
    """Return the mean loss over all batches, from the first and from the last step on each batch."""
    firsts: dict[int, float] = {}
    lasts: dict[int, float] = {}
    for step in recipe.steps:
        if step.loss is not None:
            firsts.setdefault(step.batch, step.loss)
            lasts[step.batch] = step.loss
    return sum(firsts.values()) / len(firsts), sum(lasts.values()) / len(lasts)
