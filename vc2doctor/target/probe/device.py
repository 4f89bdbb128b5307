"""Which device the probe runs on, and which precisions it can run there at all."""

import contextlib
from typing import Any, Dict, Iterator, Optional

from ..shared.recipes import Recipe


def choose(torch: Any, wanted: str) -> Any:
    """Return the ``torch.device`` for ``auto``, ``cpu`` or ``cuda:N``.

    Raises:
        RuntimeError: a GPU was asked for by name and torch sees none there.
    """
    if wanted != "auto":
        device = torch.device(wanted)
        if device.type == "cuda" and (device.index or 0) >= _gpus(torch):
            raise RuntimeError("torch sees %d GPUs: there is no %s" % (_gpus(torch), wanted))
        return device
    if _gpus(torch):
        return torch.device("cuda", 0)
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def describe(torch: Any, device: Any) -> Dict[str, Any]:
    """Return what torch itself says of its build and of ``device``; AMD and Apple are known only this way."""
    facts: Dict[str, Any] = {
        "type": device.type,
        "device": str(device),
        "name": None,
        "capability": None,
        "architecture": None,
        "torch_cuda": torch.version.cuda,
        "torch_hip": getattr(torch.version, "hip", None),
        "architectures": [],
        "gpus": _gpus(torch),
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


def limit(torch: Any, device: Any, recipe: Recipe) -> Optional[str]:
    """Return why ``recipe`` cannot be measured on ``device``, or ``None`` if it can be tried."""
    if recipe.scaled and scaler_class(torch, device) is None:
        return "this torch has no GradScaler for the device type %r (new in torch 2.3)" % device.type
    for wanted in (recipe.outer, recipe.inner):
        if wanted is not None:
            reason = _autocast_limit(torch, device, wanted)
            if reason:
                return reason
    return None


def scaler_class(torch: Any, device: Any) -> Optional[Any]:
    """Return a callable that makes an enabled GradScaler for ``device``, or ``None`` where torch has none."""
    modern = getattr(getattr(torch, "amp", None), "GradScaler", None)
    if modern is not None:
        return lambda: modern(device.type)
    return torch.cuda.amp.GradScaler if device.type == "cuda" else None


@contextlib.contextmanager
def autocast_region(torch: Any, device: Any, dtype: Optional[str]) -> Iterator[None]:
    """Enter autocast to ``dtype``, or nothing for ``None``."""
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, dtype)):
        yield


def _autocast_limit(torch: Any, device: Any, dtype: str) -> Optional[str]:
    # Older releases warn and switch autocast off instead of refusing, so the dtype of a product is what counts.
    left = torch.ones(2, 2, device=device)
    try:
        with torch.autocast(device.type, dtype=getattr(torch, dtype)):
            found = (left @ left).dtype
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        return "autocast to %s on %s: %s" % (dtype, device.type, error)
    if found != getattr(torch, dtype):
        return "autocast on %s does not take %s in torch %s" % (device.type, dtype, torch.__version__)
    return None


def is_unsupported(error: BaseException) -> bool:
    """Return whether ``error`` says that this device has no such operation in this dtype."""
    return "not implemented for" in str(error) or isinstance(error, NotImplementedError)


def _gpus(torch: Any) -> int:
    try:
        return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    except (RuntimeError, AssertionError):
        return 0
