"""The recipes that the probe ran: rows for those that the user needs, and one line for all others."""

from collections.abc import Iterator, Sequence
from typing import Literal

from vc2doctor.checks.plan import Plan
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.report.terminal.folding import folded_line
from vc2doctor.report.terminal.lines import Line, Marks, probe_row, short_row
from vc2doctor.target.shared.recipes import CONTROL

Detail = Literal["brief", "normal", "all"]
"""How much of the probe is shown: ``brief`` if all is well, ``all`` on request."""

_MARK_OF_OUTCOME = {"finite": "good", "unsupported": "none", None: "none", "weak": "warn"}
"""All other outcomes are bad."""
_MIN_EQUAL = 3
"""From this number on, rows with the same outcome for the same reason become one row. Good ones are folded."""


def detail_of(*, is_good: bool, verbose: bool) -> Detail:
    """Return how much of the probe a report shows: little if the verdict is good, unless the user wants to see all."""
    if verbose:
        return "all"
    return "brief" if is_good else "normal"


def rows(outcomes: Sequence[RecipeOutcome], plan: Plan, marks: Marks, detail: Detail) -> Iterator[Line]:
    """Yield the rows of the recipes that the user needs, and one line for the others."""
    if detail != "all" and _are_equal(outcomes):
        first = outcomes[0]
        yield probe_row(_mark(first, marks, is_used=True), f"all {len(outcomes)} recipes", *_result(first))
        return
    needed = _needed(outcomes, plan, detail)
    for outcome in outcomes:
        if outcome.recipe in needed:
            yield _row(outcome, plan, marks, detail)
    others = [outcome for outcome in outcomes if outcome.recipe not in needed]
    if others:
        yield folded_line("other recipe", _names_by_outcome(others), unnamed=("finite",))


def _needed(outcomes: Sequence[RecipeOutcome], plan: Plan, detail: Detail) -> set[str]:
    """Return the recipes that get a row: those that the user trains in or asked for by name, and the control.

    With the user's own model, those that fail are of interest as well: finding them is what ``probe --entry`` is for.
    """
    if detail == "all":
        return {outcome.recipe for outcome in outcomes}
    by_name = next((value for name, value in plan.invocation.options if name == "--recipes"), None) or ""
    failing = (outcome.recipe for outcome in outcomes if outcome.outcome != "finite" and plan.custom_subject)
    control = () if detail == "brief" else (CONTROL,)
    return {plan.precision, *control, *plan.code_recipes.values(), *by_name.split(","), *failing}


def _row(outcome: RecipeOutcome, plan: Plan, marks: Marks, detail: Detail) -> Line:
    name = f"{outcome.recipe} (decides)" if outcome.recipe == plan.precision else outcome.recipe
    mark = _mark(outcome, marks, is_used=outcome.recipe in (CONTROL, plan.precision, *plan.code_recipes.values()))
    result, description = _result(outcome)
    if detail != "brief":
        return probe_row(mark, name, result, description)
    return short_row(mark, name, result, outcome.cause.id if outcome.cause else description)


def _mark(outcome: RecipeOutcome, marks: Marks, *, is_used: bool) -> tuple[str, str]:
    kind = _MARK_OF_OUTCOME.get(outcome.outcome, "bad")
    # The other recipes are not used here, so their failures are not marked as bad.
    return marks(kind if is_used or kind == "good" else "note")


def _result(outcome: RecipeOutcome) -> tuple[str, str]:
    cause = f"; {outcome.cause.description}" if outcome.cause else ""
    return outcome.outcome or "not measured", f"{outcome.description}{cause}"


def _are_equal(outcomes: Sequence[RecipeOutcome]) -> bool:
    is_good = any(outcome.outcome == "finite" for outcome in outcomes)
    return len(outcomes) >= _MIN_EQUAL and not is_good and len({_result(outcome) for outcome in outcomes}) == 1


def _names_by_outcome(outcomes: Sequence[RecipeOutcome]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {"finite": [], "not finite": [], "not measured": []}
    for outcome in outcomes:
        names[_in_words(outcome)].append(outcome.recipe)
    return names


def _in_words(outcome: RecipeOutcome) -> str:
    if outcome.outcome in ("unsupported", None):
        return "not measured"
    return "finite" if outcome.outcome == "finite" else "not finite"
