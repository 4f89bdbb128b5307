"""Measures how much moves if every weight is trained at the project's own learning rate."""

from typing import Any, Dict, List

from ..runtime import EventSink
from .updates import moved_share

STEPS = 8
"""Optimizer steps: a weight that has not moved by then is one that each step rounds away."""


def norm_names(module: Any) -> List[str]:
    """Return the names of the parameters that belong to a norm, such as RMSNorm, by the name of its class."""
    return [
        "%s.%s" % (path, name) if path else name
        for path, part in module.named_modules()
        if "norm" in type(part).__name__.lower()
        for name, _ in part.named_parameters(recurse=False)
    ]


def run(events: EventSink, loop: Any, before: Dict[str, Any]) -> None:
    """Emit one ``plan-rate`` event: the shares of weights, and of weights of norms, that ``STEPS`` steps move.

    ``loop`` is a new loop at the project's rate over parameters with the values ``before``. Parts of the model that are
    in another dtype than the recipe's base, such as a vision tower in float32, are not counted.
    """
    dtype = getattr(loop.runtime.torch, loop.recipe.base)
    before = {name: tensor for name, tensor in before.items() if tensor.dtype == dtype}
    steps = 0
    for number in range(STEPS):
        steps += loop.step(number)["taken"]
    norms = [name for name in norm_names(loop.subject.module) if name in before]
    events.emit(
        "plan-rate",
        recipe=loop.recipe.name,
        learning_rate=loop.optimizer_facts()["learning_rate"],
        steps=steps,
        moved=moved_share(before, loop.parameters),
        norms=moved_share({name: before[name] for name in norms}, loop.parameters) if norms else None,
    )
