"""How far the activations are from float16's largest number, from forward passes without a gradient.

One pass in bfloat16, which has float32's range, shows which operations compute in half precision at all: norms,
positions and losses do not. One in float32 shows how large their results are.
"""

import math
from typing import Any, Dict, List

from ..runtime import EventSink, Runtime
from ..shared.recipes import CONTROL, RECIPES
from ..shared.spec import Spec
from . import subject, training

_HALF = ("bfloat16", "float16")


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Emit one ``headroom`` event: the largest absolute value by layer, and the tightest operation of all."""
    # Where only a bfloat16 copy fits into memory, its own sizes have to do: they are rounded to 8 bits.
    rounded = runtime.checkpoint is not None and runtime.checkpoint.dtype != "float32"
    half = _ranges(runtime, spec, "bf16", sizes=rounded)
    exact = half if rounded else _ranges(runtime, spec, CONTROL, sizes=True)
    places: List[Dict[str, Any]] = [
        {"module": call[0], "op": call[1], "largest": size}
        for call, (_, size) in exact.items()
        if half.get(call, ("", 0.0))[0] in _HALF and size != 0.0
    ]
    broken = next((place for place in places if not math.isfinite(place["largest"])), None)
    if broken is not None:
        # The largest of the rest would pass for the range of the whole.
        events.emit("range-broken", module=broken["module"], op=broken["op"])
        return
    if not places:
        return
    layers: Dict[str, float] = {}
    for place in places:
        layer = _layer(str(place["module"]))
        layers[layer] = max(place["largest"], layers.get(layer, 0.0))
    events.emit("headroom", tightest=max(places, key=lambda place: float(place["largest"])), layers=layers)


def _ranges(runtime: Runtime, spec: Spec, name: str, *, sizes: bool) -> Any:
    from .watch import Ranges  # noqa: PLC0415 - imports torch, which has to be imported under watch first

    recipe = RECIPES[name]
    made = subject.build(runtime, spec, recipe, trains=False)
    made.module.eval()
    watch = Ranges(made.module, sizes=sizes)
    try:
        with runtime.torch.no_grad(), watch:
            for batch in made.batches:
                training.loss_of(runtime, spec, recipe, made, batch)
    finally:
        watch.close()
    return watch.seen


def _layer(module: str) -> str:
    """Return the layer that a module belongs to: ``…layers.3`` of ``…layers.3.mlp.down_proj``."""
    parts = module.split(".")
    for index, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: index + 1])
    return module or "(whole model)"
