"""Chooses the device that the probe trains on, and finds out which precisions it can compute in."""

import contextlib
from typing import Any, Dict, Iterator, Optional

from ..shared.recipes import Recipe


def choose(torch: Any, name: str) -> Any:
    """Return the ``torch.device`` for ``auto``, ``cpu`` or ``cuda:N``.

    Raises:
        RuntimeError: ``name`` is a GPU that torch does not see.
    """
    if name != "auto":
        device = torch.device(name)
        if device.type == "cuda" and (device.index or 0) >= _count_gpus(torch):
            raise RuntimeError("torch sees %d GPUs: there is no %s" % (_count_gpus(torch), name))
        return device
    if _count_gpus(torch):
        return torch.device("cuda", 0)
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def describe(torch: Any, device: Any) -> Dict[str, Any]:
    """Return the facts that torch reports on its build and on ``device``: the only source for AMD and Apple GPUs."""
    facts: Dict[str, Any] = {
        "type": device.type,
        "device": str(device),
        "name": None,
        "capability": None,
        "architecture": None,
        "torch_cuda": torch.version.cuda,
        "torch_hip": getattr(torch.version, "hip", None),
        "architectures": [],
        "gpus": _count_gpus(torch),
    }
    if torch.version.cuda or facts["torch_hip"]:
        with contextlib.suppress(Exception):
            facts["architectures"] = list(torch.cuda.get_arch_list())
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["name"] = properties.name
        facts["capability"] = [properties.major, properties.minor]
        facts["architecture"] = getattr(properties, "gcnArchName", None)
    elif device.type == "mps":
        facts["name"] = "Apple GPU (Metal)"
    return facts


def unsupported_reason(torch: Any, device: Any, recipe: Recipe) -> Optional[str]:
    """Return why ``recipe`` cannot be measured on ``device``, or ``None`` if the worker can try it."""
    if recipe.scaled and scaler_class(torch, device) is None:
        return "this torch has no GradScaler for the device type %r; torch 2.3 added it" % device.type
    for dtype in (recipe.outer, recipe.inner):
        if dtype is not None:
            reason = _autocast_limit(torch, device, dtype)
            if reason:
                return reason
    return None


def scaler_class(torch: Any, device: Any) -> Optional[Any]:
    """Return a callable that creates an enabled GradScaler for ``device``, or ``None`` if torch has none."""
    scaler = getattr(getattr(torch, "amp", None), "GradScaler", None)
    if scaler is not None:
        return lambda: scaler(device.type)
    # Before torch 2.3 there was only the one for CUDA.
    return torch.cuda.amp.GradScaler if device.type == "cuda" else None


@contextlib.contextmanager
def autocast_region(torch: Any, device: Any, dtype: Optional[str]) -> Iterator[None]:
    """Enter an autocast region with ``dtype``; ``None`` enters no region."""
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, dtype)):
        yield


def _autocast_limit(torch: Any, device: Any, dtype: str) -> Optional[str]:
    # Older releases print a warning and switch autocast off instead of raising, so look at the dtype of a product.
    ones = torch.ones(2, 2, device=device)
    try:
        with torch.autocast(device.type, dtype=getattr(torch, dtype)):
            product_dtype = (ones @ ones).dtype
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        return "autocast to %s on %s: %s" % (dtype, device.type, error)
    if product_dtype != getattr(torch, dtype):
        return "autocast on %s does not support %s in torch %s" % (device.type, dtype, torch.__version__)
    return None


def is_unsupported(error: BaseException) -> bool:
    """Return whether ``error`` says that this device lacks an operation in this dtype."""
    return "not implemented for" in str(error) or isinstance(error, NotImplementedError)


def _count_gpus(torch: Any) -> int:
    try:
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    except (RuntimeError, AssertionError):
        return 0
