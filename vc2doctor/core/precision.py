"""The range of float16, and the outcomes of a recipe."""

import math
from typing import Literal

FLOAT16 = 65504.0
"""The largest finite float16 number."""

Outcome = Literal["error", "poisoned", "non-finite", "frozen", "underflow", "weak", "finite", "unsupported"]
"""The outcome of one recipe, worst first. ``unsupported`` means not measured: neither good nor bad."""


def bits_of(largest: float) -> float:
    """Return the headroom of float16 above ``largest`` in bits; a negative number means overflow."""
    return math.log2(FLOAT16 / largest)
