"""Checks what comes after training: save the adapter, reload it on a fresh base model, and generate."""

import tempfile
import time
from typing import Any, Optional

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import language_model
from .exceptions import describe
from .tensors import finite_or_none

NEW_TOKENS = 4
TOLERANCE = 1e-2
"""Largest difference of the logits at which the reloaded model counts as the same."""


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, trained: Any) -> None:
    """Emit one ``adapter`` event: the phases that succeeded, the largest difference of the logits, and any error."""
    started = time.perf_counter()
    done = []
    difference = None
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="vc2doctor-adapter-") as folder:
            trained.save_pretrained(folder)
            done.append("save")
            base = language_model.base_model(runtime, spec, recipe.base)
            reloaded = runtime.peft.PeftModel.from_pretrained(base, folder)
            done.append("reload")
        batch = language_model.batches(runtime, spec)[-1]
        difference = _largest_difference(runtime.torch, trained, reloaded, batch)
        reloaded.generate(
            input_ids=batch.ids[:1], attention_mask=batch.mask[:1], max_new_tokens=NEW_TOKENS, do_sample=False
        )
        done.append("generate")
    except Exception as raised:  # noqa: BLE001 - any exception of the target is a result to report
        error = describe(raised)
    events.emit(
        "adapter",
        recipe=recipe.name,
        done=done,
        difference=difference,
        same=difference is not None and difference <= TOLERANCE,
        error=error,
        seconds=round(time.perf_counter() - started, 3),
    )


def _largest_difference(torch: Any, trained: Any, reloaded: Any, batch: language_model.VideoBatch) -> Optional[float]:
    """Return the largest absolute difference of the logits where there is no padding; ``None``: it is not finite."""
    trained.eval()
    reloaded.eval()
    with torch.no_grad():
        logits, reloaded_logits = (
            model(input_ids=batch.ids, attention_mask=batch.mask).logits.float() for model in (trained, reloaded)
        )
    return finite_or_none(round(float((logits - reloaded_logits)[batch.mask.bool()].abs().max()), 6))
