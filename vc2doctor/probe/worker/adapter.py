"""What comes after training: save the adapter, reload it on a fresh base model, and generate."""

import tempfile
import time
from typing import Any

from . import model as models
from .errors import describe
from .protocol import Events
from .recipes import Recipe
from .spec import Spec

_NEW_TOKENS = 4
_TOLERANCE = 1e-2


def run(events: Events, stack: Any, spec: Spec, recipe: Recipe, trained: Any) -> None:
    """Emit one ``adapter`` event: the phases that went well, the largest difference of the logits, any error."""
    started = time.perf_counter()
    done = []
    difference = None
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="vc2doctor-adapter-") as folder:
            trained.save_pretrained(folder)
            done.append("save")
            base = models.base_model(stack, spec, recipe.base)
            reloaded = stack.peft.PeftModel.from_pretrained(base, folder)
            done.append("reload")
        made = models.batches(stack, spec)[-1]
        difference = _difference(stack.torch, trained, reloaded, made)
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
