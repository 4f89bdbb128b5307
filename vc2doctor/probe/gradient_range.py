"""The range of the gradients of one backward pass, and what loss scaling makes of it in float16."""

import math
from typing import Annotated

from pydantic import Field, FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.core.precision import bits_of

DEFAULT_SCALE = 65536.0
"""The scale that torch's GradScaler begins with."""
_SMALLEST_EXPONENT = -24
"""The smallest positive float16 number is 2**-24; half of it and everything below is rounded to 0."""

Count = Annotated[int, Field(ge=0)]


class GradientRange(Data):
    """The gradients of one float32 backward pass over a short text."""

    tokens: Count
    largest: Annotated[FiniteFloat, Field(gt=0)]
    module: str
    """The module at whose output the largest gradient arrives."""
    layers: dict[str, Annotated[FiniteFloat, Field(gt=0)]]
    """Largest absolute gradient by layer."""
    exponents: dict[int, Count]
    """How many gradients lie in [2**exponent, 2**(exponent + 1)); those that are 0 are not counted."""

    def bits(self, scale: float) -> float:
        """Return the headroom of float16 above the largest gradient at a loss scale; negative: it overflows."""
        return bits_of(self.largest * scale)

    @property
    def settled_scale(self) -> float:
        """The scale that a GradScaler comes to: it halves its default until the largest gradient fits."""
        scale = DEFAULT_SCALE
        while self.bits(scale) < 0:
            scale /= 2
        return scale

    @property
    def skipped(self) -> int:
        """The steps that a GradScaler skips before it has found its scale."""
        return round(math.log2(DEFAULT_SCALE / self.settled_scale))

    def vanished(self, scale: float) -> float:
        """Return the share of the gradients that float16 rounds to 0 at a loss scale."""
        limit = _SMALLEST_EXPONENT - 1 - math.log2(scale)
        total = sum(self.exponents.values())
        return sum(count for exponent, count in self.exponents.items() if exponent < limit) / total if total else 0.0
