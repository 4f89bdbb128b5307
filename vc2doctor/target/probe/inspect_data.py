"""Inspects data and weights before any training: labels, masks, and values that are not finite."""

from typing import Any, Dict, List, Optional, Tuple

from ..runtime import EventSink, Runtime
from . import updates
from .subject import Subject
from .tensors import IGNORED_LABEL, dtype_name, is_broken, is_finite

MAX_NAMES = 20
"""Tensors and embeddings that are reported."""


def run(events: EventSink, runtime: Runtime, subject: Subject) -> None:
    """Emit one ``inspection`` event on the batches and weights of ``subject``."""
    torch = runtime.torch
    batches = [_inspect_batch(torch, batch) for batch in subject.batches]
    events.emit(
        "inspection",
        targets=[batch["targets"] for batch in batches if batch["targets"] is not None],
        masked_rows=sum(batch["masked_rows"] for batch in batches),
        bad_input=next((batch["bad_input"] for batch in batches if batch["bad_input"]), None),
        bad_weight=_bad_weight(torch, subject.module),
        stored=_stored_dtype(torch, subject.module),
        attention=attention_of(subject.module),
        largest_ids=_largest_ids(torch, subject.batches),
        embeddings=_embeddings(torch, subject.module),
        tied=_tied(subject.module),
    )


def attention_of(module: Any) -> Optional[str]:
    """Return the attention code that transformers chose for ``module``, or for the first part that has one."""
    for part in module.modules():
        chosen = getattr(getattr(part, "config", None), "_attn_implementation", None)
        if isinstance(chosen, str):
            return chosen
    return None


def _bad_weight(torch: Any, module: Any) -> Optional[str]:
    """Return the name of the first weight or buffer that holds NaN or infinity; -inf in a buffer is a mask."""
    for name, parameter in module.named_parameters():
        if _is_bad(torch, parameter):
            return str(name)
    return next((str(name) for name, buffer in module.named_buffers() if _is_bad(torch, buffer, masks=True)), None)


def _largest_ids(torch: Any, batches: Any) -> Dict[str, int]:
    """Return the largest number of each tensor of integers, by name."""
    largest: Dict[str, int] = {}
    for batch in batches:
        for name, value in _tensors(torch, batch):
            if not value.is_floating_point() and value.dtype != torch.bool and value.numel():
                largest[name] = max(int(value.max()), largest.get(name, 0))
    return dict(list(largest.items())[:MAX_NAMES])


def _embeddings(torch: Any, module: Any) -> Dict[str, int]:
    """Return the number of rows of each embedding, by name."""
    found = [(name, part) for name, part in module.named_modules() if isinstance(part, torch.nn.Embedding)]
    return {name: int(part.num_embeddings) for name, part in found[:MAX_NAMES]}


def _tied(module: Any) -> List[List[str]]:
    """Return the names of each parameter that several modules share: ``[["emb.weight", "head.weight"]]``."""
    names: Dict[int, List[str]] = {}
    for path, part in module.named_modules():
        for name, parameter in part._parameters.items():  # noqa: SLF001 - the public iterator skips the second name
            if parameter is not None:
                names.setdefault(id(parameter), []).append("%s.%s" % (path, name) if path else str(name))
    return [each for each in names.values() if len(each) > 1][:MAX_NAMES]


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
    mask: Any = fields.get("attention_mask", fields.get("mask"))
    masked_rows = 0
    if isinstance(mask, torch.Tensor) and mask.dim():
        masked_rows = int((mask.reshape(mask.shape[0], -1) == 0).all(dim=1).sum())
    return {
        "targets": _count_targets(torch, fields.get("labels")),
        "masked_rows": masked_rows,
        "bad_input": next((name for name, value in _tensors(torch, batch) if _is_bad(torch, value, masks=True)), None),
    }


def _count_targets(torch: Any, labels: Any) -> Optional[int]:
    """Return how many labels count in the loss; ``None``: there are none, or they are no classes."""
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or not labels.dim():
        return None
    # A language model shifts the labels of a row by one, so the first one is never a target.
    shifted = labels[..., 1:] if labels.dim() > 1 and labels.shape[-1] > 1 else labels
    return int((shifted != IGNORED_LABEL).sum())


def _tensors(torch: Any, batch: Any, prefix: str = "") -> List[Tuple[str, Any]]:
    """Return the tensors of a batch with their names: ``vision.pixels``, ``input`` for one without a name."""
    if isinstance(batch, torch.Tensor):
        return [(prefix or "input", batch)]
    fields: Any = batch if isinstance(batch, dict) else getattr(batch, "_asdict", dict)()
    if not fields and isinstance(batch, (list, tuple)):
        fields = {str(number): value for number, value in enumerate(batch)}
    dotted = prefix + "." if prefix else ""
    return [each for name, value in fields.items() for each in _tensors(torch, value, dotted + str(name))]


def _is_bad(torch: Any, tensor: Any, *, masks: bool = False) -> bool:
    """Return whether ``tensor`` holds NaN or infinity. With ``masks``, -inf is what an additive mask holds."""
    if not tensor.is_floating_point() or is_finite(torch, tensor):
        return False
    return not masks or is_broken(torch, tensor)
