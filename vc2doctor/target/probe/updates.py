"""Which parameters are trained, what moved, and what would move at the project's own width and learning rate."""

from typing import Any, Dict, List, Optional

from ..shared.spec import Spec

_SAMPLE = 20000
_MOST_TOUCHED = 50_000_000
"""Elements whose gradients are remembered one by one; more would take too much memory."""


def adapters(torch: Any, spec: Spec, parameters: Dict[str, Any]) -> Dict[str, Any]:
    """Return the dtypes and sizes of the adapters (of all trainable parameters, where there are none).

    ``would_move`` is, by dtype and fan-in, the share of freshly initialised ``lora_A`` weights that one AdamW step at
    the project's learning rate changes at all.
    """
    lora = {name: p for name, p in parameters.items() if "lora_" in name} or parameters
    kinds = sorted({str(parameter.dtype).replace("torch.", "") for parameter in lora.values()})
    return {
        "dtypes": kinds,
        "tensors": len(lora),
        "elements": sum(p.numel() for p in lora.values()),
        "would_move": {
            kind: {str(width): _would_move(torch, kind, width, spec.learning_rate) for width in spec.fan_in}
            for kind in kinds
        },
    }


def frozen(module: Any) -> List[Any]:
    """Return the frozen weights of ``module``, or all of them where none is frozen."""
    parameters = [p for p in module.parameters() if p.is_floating_point()]
    return [p for p in parameters if not p.requires_grad] or parameters


def moved(before: Dict[str, Any], after: Dict[str, Any]) -> float:
    """Return the share of all elements that differ."""
    different = sum(int((after[name].detach() != value).sum()) for name, value in before.items())
    return float(round(different / max(1, sum(value.numel() for value in before.values())), 6))


def touch(touched: Dict[str, Any], parameters: Dict[str, Any]) -> int:
    """Add to ``touched`` the elements whose gradient is not exactly zero; return how many tensors have none."""
    remembers = sum(p.numel() for p in parameters.values()) <= _MOST_TOUCHED
    zero = 0
    for name, parameter in parameters.items():
        if parameter.grad is None:
            continue
        here = parameter.grad.detach() != 0
        zero += not bool(here.any())
        if remembers:
            touched[name] = touched[name] | here if name in touched else here
    return zero


def vanished(control: Dict[str, Any], touched: Dict[str, Any]) -> Optional[float]:
    """Return the share of the elements with a gradient in float32 that never have one here."""
    both = [name for name in control if name in touched and control[name].shape == touched[name].shape]
    found = sum(int(control[name].sum()) for name in both)
    if not found:
        return None
    return round(sum(int((control[name] & ~touched[name]).sum()) for name in both) / found, 6)


def _would_move(torch: Any, kind: str, fan_in: int, rate: float) -> float:
    # peft initialises lora_A with kaiming_uniform_(a=sqrt(5)), which is uniform within 1/sqrt(fan-in); AdamW's first
    # step has the size of the learning rate, whatever the gradient.
    generator = torch.Generator().manual_seed(0)
    bound = fan_in**-0.5
    exact = (torch.rand(_SAMPLE, generator=generator) * 2 - 1) * bound
    sign = torch.randint(0, 2, (_SAMPLE,), generator=generator) * 2 - 1
    held = exact.to(getattr(torch, kind))
    stepped = (held.float() - rate * sign).to(held.dtype)
    return float(round(float((stepped.float() != held.float()).float().mean()), 4))
