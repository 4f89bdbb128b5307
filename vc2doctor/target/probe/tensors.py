"""Small helpers for tensors and numbers that several modules of the probe use. They need no import of torch."""

from typing import Any, Optional

IGNORED_LABEL = -100
"""Label that the loss ignores: the default ``ignore_index`` of torch's cross-entropy."""


def dtype_name(dtype: Any) -> str:
    """Return the name of a torch dtype without its prefix: ``float16``."""
    return str(dtype).replace("torch.", "")


def finite_or_none(number: float) -> Optional[float]:
    """Return ``number``, or ``None`` if it is NaN or infinite: JSON cannot hold those."""
    return number if abs(number) < float("inf") else None


def is_finite(torch: Any, tensor: Any) -> bool:
    """Return whether a tensor holds neither NaN nor infinity."""
    return bool(torch.isfinite(tensor.detach()).all())
