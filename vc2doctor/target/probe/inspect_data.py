"""Inspects data and weights before any training: labels, masks, and values that are not finite."""

from typing import Any, Dict, Optional

from ..runtime import EventSink, Runtime
from . import updates
from .subject import Subject
from .tensors import IGNORED_LABEL, dtype_name, is_finite


def run(events: EventSink, runtime: Runtime, subject: Subject) -> None:
    """Emit one ``inspection`` event on the batches and weights of ``subject``."""
    torch = runtime.torch
    batches = [_inspect_batch(torch, batch) for batch in subject.batches]
    bad_weights = [name for name, parameter in subject.module.named_parameters() if _is_bad(torch, parameter)]
    bad_weights += [name for name, buffer in subject.module.named_buffers() if _is_bad(torch, buffer)]
    events.emit(
        "inspection",
        targets=[batch["targets"] for batch in batches if batch["targets"] is not None],
        masked_rows=sum(batch["masked_rows"] for batch in batches),
        bad_input=next((batch["bad_input"] for batch in batches if batch["bad_input"]), None),
        bad_weight=bad_weights[0] if bad_weights else None,
        stored=_stored_dtype(torch, subject.module),
        attention=getattr(getattr(subject.module, "config", None), "_attn_implementation", None),
    )


def _stored_dtype(torch: Any, module: Any) -> str:
    """Return the narrowest dtype that holds the frozen weights exactly (all weights, if none is frozen).

    A checkpoint that was saved in half precision is recognized by this even after a cast to float32.
    """
    for dtype in (torch.bfloat16, torch.float16):
        if all(_holds_exactly(p.detach(), dtype) for p in updates.frozen_parameters(module)):
            return dtype_name(dtype)
    return "float32"


def _holds_exactly(weight: Any, dtype: Any) -> bool:
    return bool((weight.to(dtype).to(weight.dtype) == weight).all())


def _inspect_batch(torch: Any, batch: Any) -> Dict[str, Any]:
    fields: Dict[str, Any] = batch if isinstance(batch, dict) else getattr(batch, "_asdict", dict)()
    labels: Any = fields.get("labels")
    mask: Any = fields.get("attention_mask", fields.get("mask"))
    targets: Optional[int] = None
    masked_rows = 0
    if isinstance(labels, torch.Tensor):
        # A language model shifts the labels by one, so the first position of a row is never a target.
        targets = int((labels[..., 1:] != IGNORED_LABEL).sum())
    if isinstance(mask, torch.Tensor):
        masked_rows = int((mask.reshape(mask.shape[0], -1) == 0).all(dim=1).sum())
    return {
        "targets": targets,
        "masked_rows": masked_rows,
        "bad_input": _bad_input(torch, fields or {"input": batch}),
    }


def _bad_input(torch: Any, fields: Dict[str, Any]) -> Optional[str]:
    """Return the name of the first tensor that holds NaN or infinity."""
    for name, value in fields.items():
        if isinstance(value, torch.Tensor) and _is_bad(torch, value):
            return str(name)
    return None


def _is_bad(torch: Any, tensor: Any) -> bool:
    return tensor.is_floating_point() and not is_finite(torch, tensor)
