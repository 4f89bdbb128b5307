"""What comes after training: save the adapter, reload it on a fresh base model, and generate."""

import tempfile
import time
from typing import Any

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import language_model as models
from .exceptions import describe

_NEW_TOKENS = 4
_TOLERANCE = 1e-2


def run(events: EventSink, runtime: Runtime, spec: Spec, recipe: Recipe, trained: Any) -> None:
    """Emit one ``adapter`` event: the phases that went well, the largest difference of the logits, any error."""
    started = time.perf_counter()
    done = []
    difference = None
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="vc2doctor-adapter-") as folder:
            trained.save_pretrained(folder)
            done.append("save")
            base = models.base_model(runtime, spec, recipe.base)
            reloaded = runtime.peft.PeftModel.from_pretrained(base, folder)
            done.append("reload")
        made = models.batches(runtime, spec)[-1]
        difference = _difference(runtime.torch, trained, reloaded, made)
        reloaded.generate(
            input_ids=made.ids[:1], attention_mask=made.mask[:1], max_new_tokens=_NEW_TOKENS, do_sample=False
        )
        done.append("generate")
    except Exception as raised:  # noqa: BLE001 - whatever the target raises is what there is to report
        error = describe(raised)
    events.emit(
        "adapter",
        recipe=recipe.name,
        done=done,
        difference=difference,
        same=difference is not None and difference <= _TOLERANCE,
        error=error,
        seconds=round(time.perf_counter() - started, 3),
    )


def _difference(torch: Any, trained: Any, reloaded: Any, made: models.Batch) -> Any:
    trained.eval()
    reloaded.eval()
    with torch.no_grad():
        expected = trained(input_ids=made.ids, attention_mask=made.mask).logits.float()
        found = reloaded(input_ids=made.ids, attention_mask=made.mask).logits.float()
    worst = float((expected - found)[made.mask.bool()].abs().max())
    return round(worst, 6) if abs(worst) < float("inf") else None
