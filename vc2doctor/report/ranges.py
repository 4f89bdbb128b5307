"""How near the values of each layer are to the largest number of float16, as rows with a bar."""

from collections.abc import Mapping
from typing import NamedTuple

from vc2doctor.core.precision import bits_of

_EMPTY_BITS = 16.0
"""Headroom at which a bar is empty: log2(65504 / 1), the headroom of a value of 1."""


class Bar(NamedTuple):
    """The range of one layer."""

    layer: str
    largest: float
    bits: float
    """Headroom in float16; negative: it overflows."""
    share: float
    """Length of the bar: 1 is the largest number of float16, and 0 is a value of 1 or less, both in powers of two."""


def bars(layers: Mapping[str, float], scale: float = 1.0) -> tuple[Bar, ...]:
    """Return a bar for each layer, in order; ``scale`` is the loss scale that multiplies the values."""
    return tuple(_bar(layer, largest, scale) for layer, largest in layers.items())


def _bar(layer: str, largest: float, scale: float) -> Bar:
    bits = bits_of(largest * scale)
    share = 1 - max(0.0, min(bits, _EMPTY_BITS)) / _EMPTY_BITS
    return Bar(layer=layer, largest=largest, bits=bits, share=round(share, 4))
