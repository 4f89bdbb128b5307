"""The recipes that the probe ran: rows for those that the user needs, and one line for all others."""

from collections.abc import Iterator, Sequence
from typing import Literal

from vc2doctor.checks.plan import Plan
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.report.terminal.folding import folded_line
from vc2doctor.report.terminal.lines import Line, Marks, probe_row, short_row, text_line
from vc2doctor.report.terminal.sparkline import brief, sparkline
from vc2doctor.target.shared.recipes import CONTROL

Detail = Literal["brief", "normal", "all"]
"""How much of the probe is shown: ``brief`` if all is well, ``all`` on request."""

Kind = Literal["good", "bad", "warn", "none"]

_KIND_OF_OUTCOME: dict[str | None, Kind] = {"finite": "good", "unsupported": "none", None: "none", "weak": "warn"}
"""All other outcomes are bad."""
MAX_REPEATED = 100
"""Characters of a reason that is printed again for another recipe."""
_MIN_EQUAL = 3
"""From this number on, rows with the same outcome for the same reason become one row. Good ones are folded."""


def detail_of(*, is_good: bool, verbose: bool) -> Detail:
    """Return how much of the probe a report shows: little if the verdict is good, unless the user wants to see all."""
    if verbose:
        return "all"
    return "brief" if is_good else "normal"


def rows(outcomes: Sequence[RecipeOutcome], plan: Plan, marks: Marks, detail: Detail) -> Iterator[Line]:
    """Yield the rows of the recipes that the user needs, and one line for the others."""
    if detail != "all" and are_equal(outcomes):
        first = outcomes[0]
        yield probe_row(_mark(first, marks, is_used=True), f"all {len(outcomes)} recipes", *result_of(first))
        return
    needed = _needed(outcomes, plan, detail)
    shown: dict[tuple[str, str], str] = {}
    for outcome in outcomes:
        if outcome.recipe in needed:
            same = shown.setdefault(result_of(outcome), outcome.recipe)
            yield _row(outcome, plan, marks, detail, same if same != outcome.recipe else None)
    others = [outcome for outcome in outcomes if outcome.recipe not in needed]
    if others:
        yield folded_line("other recipe", _names_by_outcome(others), unnamed=("finite",))
    if plan.recipes_left_out:
        yield text_line(f"not run: {left_out(plan)}", "dim", indent=4)


def left_out(plan: Plan) -> str:
    """Return which recipes were not run, and why."""
    is_named = plan.invocation.has("--precision") or not plan.code_recipes
    # Of code without a precision that can be read, nothing is known.
    why = "you train in none of them" if is_named else "the code was not seen to train in them"
    return f"{', '.join(plan.recipes_left_out)}, because {why}"


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


def _row(outcome: RecipeOutcome, plan: Plan, marks: Marks, detail: Detail, same: str | None) -> Line:
    """Return the row of a recipe; ``same`` is one above it with the same outcome for the same reason."""
    name = f"{outcome.recipe} (decides)" if outcome.recipe == plan.precision else outcome.recipe
    mark = _mark(outcome, marks, is_used=is_trained_in(outcome.recipe, plan))
    result, description = result_of(outcome)
    if detail == "brief":
        course = "" if marks.ascii_only else brief(outcome)
        return short_row(mark, name, result, outcome.cause.id if outcome.cause else course or description)
    if same is not None and len(description) > MAX_REPEATED:
        description = f"as under {same}"
    line = "" if marks.ascii_only else sparkline(outcome.steps)
    return probe_row(mark, name, result, f"{line} {description}".lstrip())


def kind_of(outcome: RecipeOutcome) -> Kind:
    """Return whether an outcome is good or bad."""
    return _KIND_OF_OUTCOME.get(outcome.outcome, "bad")


def is_trained_in(recipe: str, plan: Plan) -> bool:
    """Return whether a recipe is the control, the one that decides, or one that the code uses."""
    return recipe in (CONTROL, plan.precision, *plan.code_recipes.values())


def _mark(outcome: RecipeOutcome, marks: Marks, *, is_used: bool) -> tuple[str, str]:
    kind = kind_of(outcome)
    # The other recipes are not used here, so their failures are not marked as bad.
    return marks(kind if is_used or kind == "good" else "note")


def result_of(outcome: RecipeOutcome) -> tuple[str, str]:
    """Return the outcome, and its description with the cause."""
    cause = f"; {outcome.cause.description}" if outcome.cause else ""
    return outcome.outcome or "not measured", f"{outcome.description}{cause}"


def are_equal(outcomes: Sequence[RecipeOutcome]) -> bool:
    """Return whether all recipes fail in the same way, so that one row says it all."""
    is_good = any(outcome.outcome == "finite" for outcome in outcomes)
    return len(outcomes) >= _MIN_EQUAL and not is_good and len({result_of(outcome) for outcome in outcomes}) == 1


def _names_by_outcome(outcomes: Sequence[RecipeOutcome]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {"finite": [], "not finite": [], "not measured": []}
    for outcome in outcomes:
        names[_in_words(outcome)].append(outcome.recipe)
    return names


def _in_words(outcome: RecipeOutcome) -> str:
    if not outcome.is_measured:
        return "not measured"
    return "finite" if outcome.outcome == "finite" else "not finite"
