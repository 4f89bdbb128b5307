"""Which precision recipe a user most likely means by a name that is none."""

from vc2doctor.core.similar import MAX_SIMILAR, similar
from vc2doctor.target.shared.recipes import ALIASES, RECIPES, Recipe, recipe_named

_WORDS = {"bfloat16": ("bf16", "bfloat"), "float16": ("16", "half"), "float32": ("32", "single")}
"""The dtype that a part of a name means; the first that fits counts, so that bf16 is not read as a float16."""
_ALL_WEIGHTS, _QUANTIZED = ("full", "all"), ("lora", "4bit", "nf4", "int4")


def nearest(name: str) -> tuple[str, ...]:
    """Return the recipes that a name means most likely: those that compute in its dtype, else those spelled alike."""
    lower = name.lower()
    dtype = next((dtype for dtype, parts in _WORDS.items() if any(part in lower for part in parts)), None)
    of_dtype = [recipe for recipe in RECIPES.values() if dtype == recipe.computes_in and _fits(recipe, lower)]
    names = [recipe.name for recipe in sorted(of_dtype, key=lambda recipe: recipe.risk)]
    return tuple(names[:MAX_SIMILAR]) or tuple(similar(name, (*RECIPES, *ALIASES)))


def _fits(recipe: Recipe, name: str) -> bool:
    """Return whether a recipe trains what a name says, and may be recommended."""
    trains_all, quantized = (any(part in name for part in parts) for parts in (_ALL_WEIGHTS, _QUANTIZED))
    return recipe.advised and (recipe.trains == "all") == trains_all and recipe.quantized == quantized


def unknown(name: str) -> str:
    """Return that there is no recipe of this name, the nearest recipes first, and then all."""
    near = nearest(name)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"there is no recipe {name!r}.{hint} All recipes: {', '.join(RECIPES)}."


def checked(name: str) -> str:
    """Return the recipe of a name or of an alias.

    Raises:
        ValueError: there is no such recipe.
    """
    try:
        return recipe_named(name)
    except ValueError as error:
        raise ValueError(unknown(name)) from error
