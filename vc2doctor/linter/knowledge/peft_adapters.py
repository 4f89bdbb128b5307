"""The dtype of the adapters that peft makes: it depends on the release of peft.

Measured on the grid with 16 releases from 0.4.0 to 0.13.0 (matrices/evidence). With peft 0.7.0 to 0.11.1 adapters have
the dtype of the base, and `fp16-scaled` raises "Attempting to unscale FP16 gradients" in the cells that come so far.
With 0.4.0 to 0.6.2, and from 0.12.0 (`autocast_adapter_dtype=True`), adapters are float32 and `fp16-scaled` trains.
"""

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_FOLLOWS_BASE_DTYPE = SpecifierSet(">=0.7,<0.12", prereleases=True)


def adapters_follow_base_dtype(peft: str | None) -> bool | None:
    """Return whether this release of peft makes adapters in the dtype of the base; ``None``: the release is unknown."""
    try:
        return None if peft is None else Version(peft) in _FOLLOWS_BASE_DTYPE
    except InvalidVersion:
        return None
