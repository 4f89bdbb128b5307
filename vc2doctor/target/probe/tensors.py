"""Small helpers for tensors and numbers that several modules of the probe use. They need no import of torch."""

import math
from typing import Any, Iterable, List, Optional, Sequence

CLIP_EPSILON = 1e-6
"""What torch's own clipping adds to the norm."""
IGNORED_LABEL = -100
"""Label that the loss ignores: the default ``ignore_index`` of torch's cross-entropy."""


def dtype_name(dtype: Any) -> str:
    """Return the name of a torch dtype without its prefix: ``float16``."""
    return str(dtype).replace("torch.", "")


def finite_or_none(number: float) -> Optional[float]:
    """Return ``number``, or ``None`` if it is NaN or infinite: JSON cannot hold those."""
    return number if abs(number) < float("inf") else None


def gradient_norms(torch: Any, gradients: Iterable[Any]) -> List[float]:
    """Return the norm of each gradient.

    Half-precision gradients are summed in float32, because the squares of float16 numbers overflow above 255.
    """
    half = (torch.float16, torch.bfloat16)
    return [
        float(torch.linalg.vector_norm(values(gradient), dtype=torch.float32 if gradient.dtype in half else None))
        for gradient in gradients
    ]


def values(tensor: Any) -> Any:
    """Return ``tensor`` without its graph, and of a sparse one its values: few operations know sparse tensors.

    An embedding with ``sparse=True`` has a gradient that holds the rows of the batch only.
    """
    detached = tensor.detach()
    return detached.coalesce().values() if detached.is_sparse else detached


def clip(torch: Any, parameters: Sequence[Any], largest: float) -> None:
    """Scale the gradients of ``parameters`` down to a joint norm of ``largest``, sparse ones included."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not any(gradient.is_sparse for gradient in gradients):
        torch.nn.utils.clip_grad_norm_(parameters, largest)
        return
    factor = largest / (math.sqrt(sum(norm**2 for norm in gradient_norms(torch, gradients))) + CLIP_EPSILON)
    for gradient in gradients:
        gradient.mul_(min(1.0, factor))


def joint_norm(norms: Iterable[float], scale: float) -> Optional[float]:
    """Return the norm of all gradients together, as it was before loss scaling; ``None``: NaN or infinite."""
    return finite_or_none(math.sqrt(sum(norm**2 for norm in norms)) / scale)


def is_finite(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds neither NaN nor infinity."""
    return bool(torch.isfinite(values(tensor)).all())


def is_broken(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds NaN or +inf; -inf is what a mask writes."""
    return bool(torch.isnan(tensor).any()) or bool((tensor == float("inf")).any())


def needs_gradient(torch: Any, value: Any) -> bool:
    """Return whether ``value`` is a tensor that requires a gradient, or that has a graph."""
    return isinstance(value, torch.Tensor) and bool(value.requires_grad)
