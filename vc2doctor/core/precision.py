"""Numbers and words of precision that every layer shares."""

import math
from typing import Literal

FLOAT16 = 65504.0
"""Float16's largest number."""


Outcome = Literal["error", "poisoned", "non-finite", "frozen", "underflow", "weak", "finite", "unsupported"]
"""Of one recipe, worst first; ``unsupported`` was not measured and is neither good nor bad."""


def bits_of(largest: float) -> float:
    """Return the headroom of float16 above ``largest``, in bits: negative where it overflows."""
    return math.log2(FLOAT16 / largest)
