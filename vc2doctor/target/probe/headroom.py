"""Measures how far the activations are from float16's largest number, in forward passes without gradients.

One pass in bfloat16, which has float32's range, shows which operations compute in half precision at all: norms,
positions and losses do not. One in float32 shows how large their results are.
"""

import math
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import CONTROL
from ..shared.spec import Spec
from . import spares, trained, training
from .subject import build

if TYPE_CHECKING:
    from .watch import Call, Output

_HALF = ("bfloat16", "float16")


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Emit one ``headroom`` event: the largest absolute value by layer, and the operation with the largest of all.

    Emits ``range-broken`` instead if a value is not finite in float32.
    """
    # A checkpoint that only fits into memory in bfloat16 is measured in it; its values are then rounded to 8 bits.
    only_half = runtime.checkpoint is not None and runtime.checkpoint.dtype != "float32"
    half = _outputs(runtime, spec, "bf16", sizes=only_half)
    exact = half if only_half else _outputs(runtime, spec, CONTROL, sizes=True, events=events)
    peaks: List[Dict[str, Any]] = [
        {"module": call.module, "op": call.operation, "largest": output.largest}
        for call, output in exact.items()
        if call in half and half[call].dtype in _HALF and output.largest != 0.0
    ]
    broken = next((peak for peak in peaks if not math.isfinite(peak["largest"])), None)
    if broken is not None:
        # The largest of the finite values would look like the range of the whole model.
        events.emit("range-broken", module=broken["module"], op=broken["op"])
        return
    if not peaks:
        return
    layers: Dict[str, float] = {}
    for peak in peaks:
        layer = layer_of(str(peak["module"]))
        layers[layer] = max(peak["largest"], layers.get(layer, 0.0))
    events.emit("headroom", tightest=max(peaks, key=lambda peak: float(peak["largest"])), layers=layers)


def _outputs(
    runtime: Runtime, spec: Spec, name: str, *, sizes: bool, events: Optional[EventSink] = None
) -> "Dict[Call, Output]":
    """Return the dtype of every operation's output under the recipe ``name``, and with ``sizes`` its largest value.

    Emit to ``events`` a ``broadcast`` event on a difference that compares each row of the batch with all rows.
    """
    from .watch import Ranges  # noqa: PLC0415 - imports torch; run.py imports it first and reports a failure

    recipe = trained.recipe_named(spec, name)
    subject = build(runtime, spec, recipe, trains=False)
    subject.module.eval()
    watch = Ranges(subject.module, sizes=sizes)
    try:
        with runtime.torch.no_grad(), watch:
            for batch in subject.batches:
                training.loss_of(runtime, spec, recipe, subject, batch)
    finally:
        watch.close()
    spares.keep(runtime, spec, recipe, subject.module, subject.first_values)
    if events is not None and watch.broadcast is not None:
        events.emit("broadcast", **watch.broadcast)
    return watch.outputs


def layer_of(module: str) -> str:
    """Return the layer of a module: ``model.layers.3`` for ``model.layers.3.mlp.down_proj``."""
    parts = module.split(".")
    for index, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: index + 1])
    return module or "(whole model)"
