"""The ways to train that were compared with the plain one: a row for each recipe that was trained in each of them."""

from collections.abc import Iterator, Sequence

from vc2doctor.checks.plan import Plan
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.probe.variants import Comparison, VariantOutcome
from vc2doctor.report.terminal.lines import Line, Marks, probe_row
from vc2doctor.report.terminal.recipes import result_of

_COMPARED: dict[Comparison, str] = {
    "same": "",
    "only-here": "fails only in this way: ",
    "only-without": "fails only without it: ",
    "unknown": "",
}


def rows(outcomes: Sequence[VariantOutcome], plan: Plan, marks: Marks) -> Iterator[Line]:
    """Yield a row for each recipe in each way to train, and one for the comparison of two runs."""
    for variant in outcomes:
        for outcome in variant.recipes:
            yield probe_row(
                _mark(outcome, plan, marks), f"{outcome.recipe}, {variant.variant}", *_result(variant, outcome)
            )
        if variant.repeats is not None:
            kind, result = ("good", "same") if variant.repeats else ("warn", "differ")
            description = "losses and weights of two trainings of 3 steps, bit for bit"
            yield probe_row(marks(kind), f"two runs, {variant.variant}", result, description)


def _mark(outcome: RecipeOutcome, plan: Plan, marks: Marks) -> tuple[str, str]:
    if outcome.outcome == "finite":
        return marks("good")
    if not outcome.is_measured:
        return marks("none")
    return marks("bad" if outcome.recipe == plan.precision else "note")


def _result(variant: VariantOutcome, outcome: RecipeOutcome) -> tuple[str, str]:
    result, description = result_of(outcome)
    return result, f"{_COMPARED[variant.comparisons[outcome.recipe]]}{description}"
