"""The precision recipes, one entry each: which dtypes meet which autocast regions, with or without loss scaling."""

from typing import Dict, NamedTuple, Optional, Tuple


class Recipe(NamedTuple):
    """One way of setting up mixed precision.

    ``base`` is the dtype of the base model's weights; ``outer`` and ``inner`` are the dtypes of the autocast region
    around the training step and of one nested inside it (``None``: no such region); ``scaled`` puts a GradScaler
    at its default scale around the optimizer. ``risk`` orders the recipes by how often they fail: where code trains
    in several ways, the riskiest one decides. ``stressed`` recipes are also run on a model with planted outliers.
    """

    name: str
    base: str
    outer: Optional[str]
    inner: Optional[str]
    scaled: bool
    summary: str
    risk: int = 0
    stressed: bool = False

    @property
    def dtypes(self) -> Tuple[str, ...]:
        """Every dtype that this recipe computes in, fp32 left out: every device has that one."""
        named = (self.base, self.outer, self.inner)
        return tuple(sorted({dtype for dtype in named if dtype is not None and dtype != "float32"}))

    @property
    def computes_in(self) -> str:
        """The dtype of matrix products: that of the innermost region, or that of the weights without a region."""
        return self.inner or self.outer or self.base

    @property
    def contradicts(self) -> bool:
        """Whether its two regions contradict each other: nobody should train so, and it shows what happens."""
        return self.inner is not None and self.inner != self.outer

    @property
    def advised(self) -> bool:
        """Whether it may be recommended: float16 without loss scaling loses small gradients even where it is finite."""
        return not self.contradicts and (self.scaled or "float16" not in self.dtypes)


def _recipe(  # noqa: PLR0913 - a row of a table
    name: str, dtypes: str, summary: str, *, risk: int, scaled: bool = False, stressed: bool = False
) -> Recipe:
    """Return a row of the table; ``dtypes`` are those of the base weights, the outer and the inner region."""
    base, outer, inner = (_DTYPES[short] for short in dtypes.split())
    return Recipe(name, str(base), outer, inner, scaled, summary, risk, stressed)


_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "-": None}
_TABLE = (
    _recipe("fp32", "f32 - -", "the control: float32 throughout", risk=0, stressed=True),
    _recipe("bf16", "bf16 bf16 -", "bfloat16 weights and autocast, no loss scaling", risk=2, stressed=True),
    _recipe("bf16-scaled", "bf16 bf16 -", "the same with loss scaling left on (fp16=True kept)", scaled=True, risk=3),
    _recipe("bf16-amp", "f32 bf16 -", "float32 weights, bfloat16 autocast", risk=1),
    _recipe("fp16-scaled", "f16 f16 -", "float16 weights and autocast, loss scaling", scaled=True, risk=5),
    _recipe("fp16-unscaled", "f16 f16 -", "the same with loss scaling off", risk=6, stressed=True),
    _recipe(
        *("fp16-amp", "f32 f16 -", "float32 weights, float16 autocast, loss scaling"),
        scaled=True,
        risk=4,
        stressed=True,
    ),
    _recipe(
        *("bf16-in-fp16-autocast", "bf16 bf16 f16"),
        "bfloat16 weights, a nested float16 autocast: a half-made switch to bfloat16",
        risk=7,
    ),
)

RECIPES: Dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}
"""The table, in the order in which the probe runs it; the control comes first."""

ALIASES = {"fp16": "fp16-scaled"}
"""Other names under which people ask for a recipe."""


def recipe_named(name: str) -> str:
    """Return the name of the recipe that ``name`` (or an alias) means.

    Raises:
        ValueError: there is no such recipe.
    """
    found = ALIASES.get(name, name)
    if found not in RECIPES:
        raise ValueError("%r is not one of %s" % (name, ", ".join([*RECIPES, *ALIASES])))
    return found


CONTROL = "fp32"
"""If this recipe fails, the cause is not precision."""
