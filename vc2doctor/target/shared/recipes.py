"""The precision recipes, one table row each: dtypes of weights and autocast regions, with or without loss scaling."""

from typing import Dict, NamedTuple, Optional, Tuple


class Recipe(NamedTuple):
    """One set-up of mixed precision.

    ``base`` is the dtype of the base model's weights. ``outer`` is the dtype of the autocast region around the training
    step, and ``inner`` that of a region nested inside it (``None``: no such region). ``scaled`` adds a GradScaler at
    its default scale. ``risk`` ranks the recipes by how often they fail: if code trains in several ways, the riskiest
    recipe decides. ``stressed`` recipes also run on a model with planted outliers.
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
        """The half-precision dtypes that this recipe computes in; every device has float32, so it is left out."""
        dtypes = (self.base, self.outer, self.inner)
        return tuple(sorted({dtype for dtype in dtypes if dtype is not None and dtype != "float32"}))

    @property
    def computes_in(self) -> str:
        """The dtype of matrix products: that of the innermost region, or of the weights if there is no region."""
        return self.inner or self.outer or self.base

    @property
    def contradicts(self) -> bool:
        """Whether its two autocast regions contradict each other: it shows a mistake, and is never a good choice."""
        return self.inner is not None and self.inner != self.outer

    @property
    def advised(self) -> bool:
        """Whether we may recommend it: float16 without loss scaling loses small gradients even if it stays finite."""
        return not self.contradicts and (self.scaled or "float16" not in self.dtypes)


_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "-": None}


def _recipe(  # noqa: PLR0913 - a row of a table
    name: str, dtypes: str, summary: str, *, risk: int, scaled: bool = False, stressed: bool = False
) -> Recipe:
    """Return a row of the table; ``dtypes`` are those of the base weights, the outer and the inner region."""
    base, outer, inner = (_DTYPES[short] for short in dtypes.split())
    return Recipe(name, str(base), outer, inner, scaled, summary, risk, stressed)


_TABLE = (
    _recipe("fp32", "f32 - -", "the control: float32 weights, no autocast", risk=0, stressed=True),
    _recipe("bf16", "bf16 bf16 -", "bfloat16 weights and autocast, no loss scaling", risk=2, stressed=True),
    _recipe(
        *("bf16-scaled", "bf16 bf16 -", "bfloat16 weights and autocast, loss scaling left on (fp16=True kept)"),
        scaled=True,
        risk=3,
    ),
    _recipe("bf16-amp", "f32 bf16 -", "float32 weights, bfloat16 autocast", risk=1),
    _recipe("fp16-scaled", "f16 f16 -", "float16 weights and autocast, loss scaling", scaled=True, risk=5),
    _recipe("fp16-unscaled", "f16 f16 -", "float16 weights and autocast, no loss scaling", risk=6, stressed=True),
    _recipe(
        *("fp16-amp", "f32 f16 -", "float32 weights, float16 autocast, loss scaling"),
        scaled=True,
        risk=4,
        stressed=True,
    ),
    _recipe(
        *("bf16-in-fp16-autocast", "bf16 bf16 f16"),
        "bfloat16 weights, a nested float16 autocast: an incomplete switch to bfloat16",
        risk=7,
    ),
)

RECIPES: Dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}
"""The table by name, in the order in which the probe runs it; the control comes first."""

ALIASES = {"fp16": "fp16-scaled"}
"""Other names that users type for a recipe."""

CONTROL = "fp32"
"""The recipe in float32. If it fails, precision is not the cause."""


def recipe_named(name: str) -> str:
    """Return the name of the recipe that ``name``, or an alias, means.

    Raises:
        ValueError: there is no such recipe.
    """
    resolved = ALIASES.get(name, name)
    if resolved not in RECIPES:
        raise ValueError("%r is not one of %s" % (name, ", ".join([*RECIPES, *ALIASES])))
    return resolved
