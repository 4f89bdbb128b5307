"""Small helpers for tensors and numbers that several modules of the probe use. They need no import of torch."""

import math
from typing import Any, Iterable, List, Optional

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
        float(torch.linalg.vector_norm(gradient.detach(), dtype=torch.float32 if gradient.dtype in half else None))
        for gradient in gradients
    ]


def joint_norm(norms: Iterable[float], scale: float) -> Optional[float]:
    """Return the norm of all gradients together, as it was before loss scaling; ``None``: NaN or infinite."""
    return finite_or_none(math.sqrt(sum(norm**2 for norm in norms)) / scale)


def is_finite(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds neither NaN nor infinity."""
    return bool(torch.isfinite(tensor.detach()).all())


def is_broken(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds NaN or +inf; -inf is what a mask writes."""
    return bool(torch.isnan(tensor).any()) or bool((tensor == float("inf")).any())


def needs_gradient(torch: Any, value: Any) -> bool:
    """Return whether ``value`` is a tensor that requires a gradient, or that has a graph."""
    return isinstance(value, torch.Tensor) and bool(value.requires_grad)
