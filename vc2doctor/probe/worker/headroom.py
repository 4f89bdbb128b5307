"""How far the activations are from float16's largest number, from one float32 forward pass."""

from typing import Any, Dict, List

from . import subject, training
from .protocol import Events
from .recipes import CONTROL, RECIPES
from .spec import Spec


def run(events: Events, stack: Any, spec: Spec) -> None:
    """Emit one ``headroom`` event: the largest absolute value by module, and the tightest operation of all."""
    from .watch import Watch  # noqa: PLC0415 - imports torch, which has to be imported under watch first

    recipe = RECIPES[CONTROL]
    loop = training.Loop(stack, spec, recipe, subject.build(stack, spec, recipe))
    loop.made.module.eval()
    watch = Watch(loop.made.module)
    try:
        with stack.torch.no_grad(), watch:
            for number in range(len(loop.made.batches)):
                loop.loss(number)
    finally:
        watch.close()
    places: List[Dict[str, Any]] = [
        {"module": module, "op": op, "largest": round(size, 6)} for (module, op), size in watch.largest.items() if size
    ]
    if not places:
        return
    places.sort(key=lambda place: -float(place["largest"]))
    layers: Dict[str, float] = {}
    for place in places:
        layer = _layer(str(place["module"]))
        layers[layer] = max(float(place["largest"]), layers.get(layer, 0.0))
    events.emit("headroom", tightest=places[0], layers=layers)


def _layer(module: str) -> str:
    """Return the layer that a module belongs to: ``…layers.3`` of ``…layers.3.mlp.down_proj``."""
    parts = module.split(".")
    for index, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: index + 1])
    return module or "(whole model)"
