"""What the page shows of each recipe: its outcome, and the curves of its loss and of its gradient norm."""

from collections.abc import Sequence
from typing import NamedTuple

from vc2doctor.checks.plan import Plan
from vc2doctor.probe.outcome import RecipeOutcome, StepPoint
from vc2doctor.report.html.curves import Curve, Point, curve
from vc2doctor.report.html.tones import Tone
from vc2doctor.report.terminal.recipes import are_equal, is_trained_in, kind_of
from vc2doctor.target.shared.recipes import CONTROL


class RecipeView(NamedTuple):
    """A recipe as the page shows it."""

    name: str
    outcome: RecipeOutcome
    tone: Tone
    decides: bool
    curves: tuple[Curve, ...]
    """Loss and gradient norm; empty: no step was taken."""
    is_compared: bool
    """Whether the curves show those of the control behind them."""


def recipe_views(outcomes: Sequence[RecipeOutcome], plan: Plan) -> tuple[RecipeView, ...]:
    """Return the views of all recipes, the one that decides first; one view if all fail in the same way."""
    control = next((outcome for outcome in outcomes if outcome.recipe == CONTROL), None)
    ordered = sorted(outcomes, key=lambda outcome: outcome.recipe != plan.precision)
    views = tuple(_view(outcome, control, plan) for outcome in ordered)
    if are_equal(outcomes) and not any(view.curves for view in views):
        return (views[0]._replace(name=f"all {len(outcomes)} recipes", decides=False),)
    return views


def _view(outcome: RecipeOutcome, control: RecipeOutcome | None, plan: Plan) -> RecipeView:
    other = control if control is not outcome else None
    return RecipeView(
        name=outcome.recipe,
        outcome=outcome,
        tone=_tone(outcome, plan),
        decides=outcome.recipe == plan.precision,
        curves=_curves(outcome, other),
        is_compared=bool(other and other.steps),
    )


def _tone(outcome: RecipeOutcome, plan: Plan) -> Tone:
    kind = kind_of(outcome)
    # The other recipes are not used here, so their failures are no alarm.
    return kind if kind == "good" or is_trained_in(outcome.recipe, plan) else "none"


def _curves(outcome: RecipeOutcome, control: RecipeOutcome | None) -> tuple[Curve, ...]:
    if not outcome.steps:
        return ()
    others = control.steps if control else ()
    losses = curve("Loss", _losses(outcome.steps), _losses(others))
    # Reports of an older worker have no norms.
    has_norms = any(step.gradient_norm is not None for step in (*outcome.steps, *others))
    norms = curve("Gradient norm", _norms(outcome.steps), _norms(others))
    return (losses, norms) if has_norms else (losses,)


def _losses(steps: Sequence[StepPoint]) -> tuple[Point, ...]:
    return tuple(Point(str(step.step), step.loss, not step.taken, step.batch) for step in steps)


def _norms(steps: Sequence[StepPoint]) -> tuple[Point, ...]:
    return tuple(Point(str(step.step), step.gradient_norm, not step.taken, step.batch) for step in steps)
