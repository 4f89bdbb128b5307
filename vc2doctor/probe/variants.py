"""Judges the recipes that were trained in other ways: precision alone does not cause a fault that is only there."""

from typing import Literal

from vc2doctor.core.data import Data
from vc2doctor.probe.facts import ProbeRun, VariantRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.target.shared.variants import VARIANTS

Comparison = Literal["same", "only-here", "only-without", "unknown"]
"""``only-here``: the recipe is finite without the variant and fails with it; ``only-without``: the other way round;
``unknown``: one of the two was not measured."""


class VariantOutcome(Data):
    """A way to train, with the outcome of each recipe that was trained in it."""

    variant: str
    title: str
    """Completes "it fails only …": ``under torch.compile``."""
    recipes: tuple[RecipeOutcome, ...]
    comparisons: dict[str, Comparison]
    """By recipe, compared with its outcome without the variant."""
    repeats: bool | None
    """Whether two trainings had the same losses and weights, bit for bit; ``None``: not compared."""
    finished: bool

    def trains(self, recipe: str) -> bool:
        """Return whether ``recipe`` was trained in this way, with a finite outcome."""
        return any(each.recipe == recipe and each.outcome == "finite" for each in self.recipes)


def variant_outcomes(run: ProbeRun) -> tuple[VariantOutcome, ...]:
    """Return the outcomes of every way to train that was tried."""
    plain = {outcome.recipe: outcome for outcome in outcomes(run)} if run.variants else {}
    return tuple(_judge(variant, plain, run) for variant in run.variants)


def _judge(variant: VariantRun, plain: dict[str, RecipeOutcome], run: ProbeRun) -> VariantOutcome:
    judged = outcomes(run.model_copy(update={"recipes": variant.recipes}))
    return VariantOutcome(
        variant=variant.variant,
        title=VARIANTS[variant.variant].title,
        recipes=judged,
        comparisons={each.recipe: _compare(plain.get(each.recipe), each) for each in judged},
        repeats=variant.repeats,
        finished=variant.finished,
    )


def _compare(without: RecipeOutcome | None, varied: RecipeOutcome) -> Comparison:
    if without is None or not without.is_measured or not varied.is_measured:
        return "unknown"
    if (without.outcome == "finite") == (varied.outcome == "finite"):
        return "same"
    return "only-here" if without.outcome == "finite" else "only-without"
