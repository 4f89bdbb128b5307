"""The precision recipes, one entry each: which dtypes meet which autocast regions, with or without loss scaling."""

from typing import Dict, NamedTuple, Optional, Tuple


class Recipe(NamedTuple):
    """One way of setting up mixed precision.

    ``base`` is the dtype of the base model's weights; ``outer`` and ``inner`` are the dtypes of the autocast region
    around the training step and of one nested inside it (``None``: no such region); ``scaled`` puts a GradScaler
    at its default scale around the optimiser.
    """

    name: str
    base: str
    outer: Optional[str]
    inner: Optional[str]
    scaled: bool
    summary: str

    @property
    def dtypes(self) -> Tuple[str, ...]:
        """Every dtype that this recipe computes in, fp32 left out: every device has that one."""
        named = (self.base, self.outer, self.inner)
        return tuple(sorted({dtype for dtype in named if dtype is not None and dtype != "float32"}))

    @property
    def contradicts(self) -> bool:
        """Whether its two regions contradict each other: nobody should train so, and it shows what happens."""
        return self.inner is not None and self.inner != self.outer

    @property
    def advised(self) -> bool:
        """Whether it may be recommended: float16 without loss scaling loses small gradients even where it is finite."""
        return not self.contradicts and (self.scaled or "float16" not in self.dtypes)


_TABLE = (
    Recipe("fp32", "float32", None, None, scaled=False, summary="the control: float32 throughout"),
    Recipe(
        "bf16", "bfloat16", "bfloat16", None, scaled=False, summary="bfloat16 weights and autocast, no loss scaling"
    ),
    Recipe(
        "bf16-scaled",
        "bfloat16",
        "bfloat16",
        None,
        scaled=True,
        summary="the same with loss scaling left on (fp16=True kept)",
    ),
    Recipe("bf16-amp", "float32", "bfloat16", None, scaled=False, summary="float32 weights, bfloat16 autocast"),
    Recipe(
        "fp16-scaled", "float16", "float16", None, scaled=True, summary="float16 weights and autocast, loss scaling"
    ),
    Recipe("fp16-unscaled", "float16", "float16", None, scaled=False, summary="the same with loss scaling off"),
    Recipe(
        "fp16-amp", "float32", "float16", None, scaled=True, summary="float32 weights, float16 autocast, loss scaling"
    ),
    Recipe(
        "bf16-in-fp16-autocast",
        "bfloat16",
        "bfloat16",
        "float16",
        scaled=False,
        summary="bfloat16 weights, a nested float16 autocast: the half-made cure",
    ),
)

RECIPES: Dict[str, Recipe] = {recipe.name: recipe for recipe in _TABLE}
"""The table, in the order in which the probe runs it; the control comes first."""

ALIASES = {"fp16": "fp16-scaled"}
"""Other names under which people ask for a recipe."""

CONTROL = "fp32"
"""If this recipe fails, the cause is not precision."""
