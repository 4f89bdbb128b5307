"""Keeps models of the miniature that trained well, so that the next recipe with the same weights builds no new one.

Building one takes peft as long as a training step. A kept model is like a new one: only its adapters were trained, and
they get their first values back. It has one owner at a time. A model that was saved, searched for a fault, compiled or
given hooks is not kept, nor is one with the layers of another architecture, which may remember what it computed.
"""

from typing import Any, Dict, Optional

from ..runtime import Runtime, SpareModel
from ..shared.recipes import Recipe
from ..shared.spec import Spec


def suits(spec: Spec, recipe: Recipe) -> bool:
    """Return whether a model that was built for ``spec`` and ``recipe`` may be used again."""
    is_own = spec.architecture or spec.entry or spec.checkpoint or spec.model != "language"
    return not is_own and spec.plant == "none" and not spec.compiled and _trains_plain_adapters(recipe)


def first_values(model: Any) -> Dict[str, Any]:
    """Return copies of the trainable parameters of a new ``model``, by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def keep(runtime: Runtime, spec: Spec, recipe: Recipe, model: Any, values: Optional[Dict[str, Any]]) -> None:
    """Keep ``model``, which nothing uses any more; ``values`` are its first ones (``None``: it cannot be kept)."""
    if values is not None:
        runtime.spares[spec, recipe.base] = SpareModel(model, values)


def take(runtime: Runtime, spec: Spec, recipe: Recipe) -> Optional[SpareModel]:
    """Return a kept model with its first values, in training mode; ``None``: there is none."""
    spare = runtime.spares.pop((spec, recipe.base), None) if suits(spec, recipe) else None
    if spare is None:
        return None
    with runtime.torch.no_grad():
        for name, parameter in spare.model.named_parameters():
            parameter.grad = None
            if name in spare.values:
                parameter.copy_(spare.values[name])
    spare.model.train()
    return spare


def _trains_plain_adapters(recipe: Recipe) -> bool:
    return recipe.trains == "adapters" and not recipe.quantized
