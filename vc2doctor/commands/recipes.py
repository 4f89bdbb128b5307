"""Which recipes the probe runs: pure functions of what the user and the code train in, and of what was seen."""

from collections.abc import Iterable, Sequence

from vc2doctor.checks.plan import Plan
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.target.shared.recipes import CONTROL, DEFAULT_RECIPES, RECIPES, Recipe, controls_of

RECOMMENDED_FOR_WEIGHTS = "full-bf16-amp"
"""Decides where every weight is trained and nothing says in which precision. bfloat16 alone loses small steps."""
_NO_FAILURE = ("finite", "unsupported", None)
"""Outcomes after which another recipe is no remedy. What could not run here needs another machine."""


def every(named: Iterable[str], deciding: str) -> tuple[str, ...]:
    """Return the ``named`` recipes with the one that decides, and with what these are compared with.

    If another kind of training decides, such as that of every weight, all recipes of this kind run that need no further
    package.
    """
    kind = RECIPES[deciding].kind
    related = [name for name, recipe in RECIPES.items() if (recipe.kind, recipe.rounding) == (kind, "nearest")]
    return _with_controls({deciding, *([] if deciding in DEFAULT_RECIPES else related), *named})


def of_every_weight(name: str) -> str:
    """Return the recipe that trains every weight in the precision of ``name``; without one, ``name`` itself.

    Where no adapters are trained, the probe trains every weight under the recipes without such a twin, too.
    """
    wanted = _precision(RECIPES[name])
    same = (other.name for other in RECIPES.values() if other.trains == "all" and _precision(other) == wanted)
    return next(same, name)


def _precision(recipe: Recipe) -> tuple[object, ...]:
    return recipe.base, recipe.outer, recipe.inner, recipe.scaled, recipe.rounding, recipe.quantized


def used(plan: Plan, requested: str | None) -> tuple[str, ...]:
    """Return the recipes that are used, with what they are compared with; none if it is not known which.

    The recipe that the user requests replaces those of the code.
    """
    named = (requested,) if requested is not None else tuple(plan.code_recipes.values())
    return _with_controls({plan.precision, *named}) if named else ()


def left_out(ran: Sequence[str]) -> tuple[str, ...]:
    """Return the default recipes that are not among ``ran``."""
    return tuple(name for name in DEFAULT_RECIPES if name not in ran)


def alternatives_matter(outcomes: Sequence[RecipeOutcome]) -> bool:
    """Return whether one of the recipes fails although the control trains: another recipe may be the remedy."""
    by_name = {outcome.recipe: outcome.outcome for outcome in outcomes}
    return by_name.get(CONTROL) == "finite" and any(outcome not in _NO_FAILURE for outcome in by_name.values())


def _with_controls(names: set[str]) -> tuple[str, ...]:
    """Return recipes and the float32 recipes that they are compared with, in the order of the table."""
    selected = names.union(*(controls_of(name) for name in names))
    return tuple(name for name in RECIPES if name in selected)
