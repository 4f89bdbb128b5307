"""Measures which parameters are trained, how many change, and how many would change at the project's own settings."""

from typing import Any, Dict, List, Optional

from ..shared.spec import Spec
from .tensors import dtype_name, values

SAMPLE_SIZE = 20000
"""Weights that are drawn to estimate how many of them one step changes."""
MAX_REMEMBERED = 50_000_000
"""Elements whose gradients are remembered one by one, at a byte each; more would need too much memory."""


def adapter_facts(torch: Any, spec: Spec, parameters: Dict[str, Any]) -> Dict[str, Any]:
    """Return the dtypes and sizes of the adapters, or of all trainable ``parameters`` if none is an adapter.

    ``would_move`` is, by dtype and fan-in, the share of freshly initialized ``lora_A`` weights that change in one AdamW
    step at the project's learning rate.
    """
    adapters = {name: p for name, p in parameters.items() if "lora_" in name} or parameters
    dtypes = sorted({dtype_name(parameter.dtype) for parameter in adapters.values()})
    return {
        "dtypes": dtypes,
        "tensors": len(adapters),
        "elements": sum(p.numel() for p in adapters.values()),
        "would_move": {
            dtype: {
                str(width): _share_changed_by_one_step(torch, dtype, width, spec.learning_rate) for width in spec.fan_in
            }
            for dtype in dtypes
        },
    }


def frozen_parameters(module: Any) -> List[Any]:
    """Return the frozen floating-point parameters of ``module``, or all of them if none is frozen."""
    parameters = [p for p in module.parameters() if p.is_floating_point()]
    return [p for p in parameters if not p.requires_grad] or parameters


def moved_share(before: Dict[str, Any], after: Dict[str, Any], nonzero: Optional[Dict[str, Any]] = None) -> float:
    """Return the share of all elements that differ between ``before`` and ``after``, two dicts of tensors by name.

    Of a tensor with marks in ``nonzero`` only the marked elements count: of an embedding, the rows of the batch.
    """
    changed = total = 0
    for name, tensor in before.items():
        differs = after[name].detach() != tensor
        marks = (nonzero or {}).get(name)
        if marks is not None and bool(marks.any()):
            differs = differs[marks]
        changed += int(differs.sum())
        total += differs.numel()
    return float(round(changed / max(1, total), 6))


def record_nonzero_gradients(nonzero: Dict[str, Any], parameters: Dict[str, Any]) -> int:
    """Mark in ``nonzero`` the elements with a gradient other than 0; return how many tensors have only zeros.

    ``nonzero`` holds a tensor of booleans by parameter name, and collects the marks of several steps.
    """
    remembers = sum(p.numel() for p in parameters.values()) <= MAX_REMEMBERED
    zero_tensors = 0
    for name, parameter in parameters.items():
        if parameter.grad is None:
            continue
        zero_tensors += not bool((values(parameter.grad) != 0).any())
        if remembers:
            gradient = parameter.grad.detach()
            marks = (gradient.to_dense() if gradient.is_sparse else gradient) != 0
            nonzero[name] = nonzero[name] | marks if name in nonzero else marks
    return zero_tensors


def vanished_share(control: Dict[str, Any], nonzero: Dict[str, Any]) -> Optional[float]:
    """Return the share of the elements marked in ``control`` (from float32) that are not marked in ``nonzero``."""
    names = [name for name in control if name in nonzero and control[name].shape == nonzero[name].shape]
    total = sum(int(control[name].sum()) for name in names)
    if not total:
        return None
    return round(sum(int((control[name] & ~nonzero[name]).sum()) for name in names) / total, 6)


def _share_changed_by_one_step(torch: Any, dtype: str, fan_in: int, learning_rate: float) -> float:
    # peft initializes lora_A with kaiming_uniform_(a=sqrt(5)), which is uniform within 1/sqrt(fan-in). The first step
    # of AdamW has the size of the learning rate, whatever the gradient is.
    generator = torch.Generator().manual_seed(0)
    bound = fan_in**-0.5
    exact = (torch.rand(SAMPLE_SIZE, generator=generator) * 2 - 1) * bound
    sign = torch.randint(0, 2, (SAMPLE_SIZE,), generator=generator) * 2 - 1
    weights = exact.to(getattr(torch, dtype))
    stepped = (weights.float() - learning_rate * sign).to(weights.dtype)
    return float(round(float((stepped.float() != weights.float()).float().mean()), 4))
