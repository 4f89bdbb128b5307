"""What can be seen of data and weights before any training: labels, masks, values that are not finite."""

from typing import Any, Dict, Optional

from ..runtime import EventSink, Runtime
from . import updates
from .subject import Subject

_IGNORED = -100


def run(events: EventSink, runtime: Runtime, made: Subject) -> None:
    """Emit one ``inspection`` event."""
    torch = runtime.torch
    rows = [_look(torch, batch) for batch in made.batches]
    names = [name for name, p in made.module.named_parameters() if not _is_finite(torch, p)]
    names += [name for name, b in made.module.named_buffers() if not _is_finite(torch, b)]
    targets = [row["targets"] for row in rows if row["targets"] is not None]
    events.emit(
        "inspection",
        targets=targets,
        masked_rows=sum(row["masked_rows"] for row in rows),
        bad_input=next((row["bad_input"] for row in rows if row["bad_input"]), None),
        bad_weight=names[0] if names else None,
        stored=_stored(torch, made.module),
        attention=getattr(getattr(made.module, "config", None), "_attn_implementation", None),
    )


def _stored(torch: Any, module: Any) -> str:
    """Return the narrowest dtype that holds the frozen weights exactly (all weights, where none is frozen).

    A checkpoint that was saved in half precision shows it after it has been cast up.
    """
    for kind in (torch.bfloat16, torch.float16):
        if all(_holds(p.detach(), kind) for p in updates.frozen(module)):
            return str(kind).replace("torch.", "")
    return "float32"


def _holds(weight: Any, kind: Any) -> bool:
    return bool((weight.to(kind).to(weight.dtype) == weight).all())


def _look(torch: Any, batch: Any) -> Dict[str, Any]:
    fields: Dict[str, Any] = batch if isinstance(batch, dict) else getattr(batch, "_asdict", dict)()
    labels: Any = fields.get("labels")
    mask: Any = fields.get("attention_mask", fields.get("mask"))
    targets: Optional[int] = None
    masked = 0
    if isinstance(labels, torch.Tensor):
        # The first position of a row has no prediction before it.
        targets = int((labels[..., 1:] != _IGNORED).sum())
    if isinstance(mask, torch.Tensor):
        masked = int((mask.reshape(mask.shape[0], -1) == 0).all(dim=1).sum())
    return {"targets": targets, "masked_rows": masked, "bad_input": _bad(torch, fields or {"input": batch})}


def _bad(torch: Any, fields: Dict[str, Any]) -> Optional[str]:
    for name, value in fields.items():
        if isinstance(value, torch.Tensor) and not _is_finite(torch, value):
            return str(name)
    return None


def _is_finite(torch: Any, value: Any) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.detach()).all())
