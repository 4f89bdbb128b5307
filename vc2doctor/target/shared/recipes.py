"""The precision recipes, one table row each: dtypes, loss scaling, and which weights are trained."""

from typing import Dict, NamedTuple, Optional, Tuple


class Recipe(NamedTuple):
    """One set-up of mixed precision.

    ``base`` is the dtype of the base model's weights. ``outer`` is the dtype of the autocast region around the training
    step, and ``inner`` that of a region nested inside it (``None``: no such region). ``scaled`` adds a GradScaler at
    its default scale. ``risk`` ranks the recipes by how often they fail: if code trains in several ways, the riskiest
    recipe decides. ``stressed`` recipes also run on a model with planted outliers.

    ``trains`` is ``adapters``, or ``all``: every weight, without adapters. ``quantized`` stores the base in 4 bits, in
    bitsandbytes' NF4, and computes its products in ``base``. ``rounding`` is how the optimizer rounds to the dtype of
    the weights: ``nearest``, as torch's does, or ``stochastic``, by torchao. A recipe with ``versions_like`` runs only
    if the user, the code or the profile names it; the evidence on versions of that other recipe counts for it.
    """

    name: str
    base: str
    outer: Optional[str]
    inner: Optional[str]
    scaled: bool
    summary: str
    risk: int = 0
    stressed: bool = False
    trains: str = "adapters"
    quantized: bool = False
    rounding: str = "nearest"
    versions_like: str = ""

    @property
    def asked(self) -> bool:
        """Whether it runs only if it is named."""
        return bool(self.versions_like)

    @property
    def kind(self) -> Tuple[str, bool]:
        """What is trained: two recipes can stand for each other only if it is the same."""
        return self.trains, self.quantized

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


def _full(name: str, dtypes: str, summary: str, like: str, rounding: str = "nearest") -> Recipe:
    """Return a row in which every weight is trained."""
    return _recipe(name, dtypes, summary, risk=0)._replace(trains="all", versions_like=like, rounding=rounding)


def _quantized(name: str, dtypes: str, summary: str, like: str, *, scaled: bool = False) -> Recipe:
    """Return a row with adapters on a base that is stored in 4 bits."""
    row = _recipe(name, dtypes, summary, risk=0, scaled=scaled)
    return row._replace(quantized=True, versions_like=like)


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
    _full("full-fp32", "f32 - -", "every weight trained, in float32", "fp32"),
    _full("full-bf16-amp", "f32 bf16 -", "every weight trained, in float32 under bfloat16 autocast", "bf16-amp"),
    _full("full-bf16", "bf16 bf16 -", "every weight trained, in bfloat16, without float32 copies", "bf16"),
    _full(
        *("bf16-stochastic", "bf16 bf16 -"),
        *("every weight trained, in bfloat16, by torchao's AdamW with stochastic rounding", "bf16", "stochastic"),
    ),
    _quantized("qlora-bf16", "bf16 bf16 -", "adapters on a 4-bit base that computes in bfloat16", "bf16-amp"),
    _quantized(
        *("qlora-fp16", "f16 f16 -", "adapters on a 4-bit base that computes in float16, loss scaling", "fp16-amp"),
        scaled=True,
    ),
)

RECIPES: Dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}
"""The table by name, in the order in which the probe runs it; the control comes first."""

DEFAULT_RECIPES = tuple(name for name, recipe in RECIPES.items() if not recipe.asked)
"""The recipes that run if the user names none. The measured evidence on versions has these."""

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


def controls_of(name: str) -> Tuple[str, ...]:
    """Return the float32 recipes that ``name`` is compared with: the control, and the one of the same kind."""
    kind = RECIPES[name].kind
    same = tuple(other.name for other in _TABLE if other.asked and other.kind == kind and not other.dtypes)
    return (CONTROL, *same)


def evidence_recipe(name: str) -> str:
    """Return the recipe whose evidence on versions counts for ``name``."""
    return RECIPES[name].versions_like or name
