"""Which parameters are trained, what moved, and what would move at the project's own width and learning rate."""

from typing import Any, Dict

from .spec import Spec

_SAMPLE = 20000


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


def moved(before: Dict[str, Any], after: Dict[str, Any]) -> float:
    """Return the share of all elements that differ."""
    different = sum(int((after[name].detach() != value).sum()) for name, value in before.items())
    return float(round(different / max(1, sum(value.numel() for value in before.values())), 6))


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
