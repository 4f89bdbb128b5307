"""In which dtype peft makes adapters: which release it is decides.

Measured on the grid, 16 releases from 0.4.0 to 0.13.0 (matrices/evidence): with peft 0.7.0 to 0.11.1 adapters have the
dtype of the base, and `fp16-scaled` raises "Attempting to unscale FP16 gradients" in the cells that come so far; with
0.4.0 to 0.6.2, and from 0.12.0 (`autocast_adapter_dtype=True`), they are float32 and it trains.
"""

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_LIKE_THE_BASE = SpecifierSet(">=0.7,<0.12", prereleases=True)


def follow_the_base(peft: str | None) -> bool | None:
    """Return whether adapters get the dtype of the base; ``None``: the release is not known."""
    try:
        return None if peft is None else Version(peft) in _LIKE_THE_BASE
    except InvalidVersion:
        return None
