"""What loss scaling makes of the gradients of one backward pass."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.core.precision import FLOAT16
from vc2doctor.probe.gradient_range import DEFAULT_SCALE, GradientRange


def range_of(largest: float, exponents: dict[int, int] | None = None) -> GradientRange:
    return GradientRange(tokens=64, largest=largest, module="model.norm", layers={}, exponents=exponents or {})


@pytest.mark.parametrize(
    ("largest", "scale", "skipped"),
    [
        (0.5, 65536.0, 0),
        (0.9995, 65536.0, 0),
        # The largest number of float16 itself does not overflow.
        (FLOAT16 / 65536.0, 65536.0, 0),
        (1.0, 32768.0, 1),
        (3.0, 16384.0, 2),
        (70000.0, 0.5, 17),
    ],
)
def test_a_scaler_halves_its_scale_until_the_largest_gradient_fits(largest: float, scale: float, skipped: int) -> None:
    gradients = range_of(largest)
    assert (gradients.settled_scale, gradients.skipped) == (scale, skipped)


def test_gradients_below_half_of_the_smallest_number_vanish() -> None:
    gradients = range_of(0.5, {-42: 3, -41: 5, -30: 2})
    assert gradients.vanished(1.0) == 1.0
    assert gradients.vanished(DEFAULT_SCALE) == 0.3, "2**-42 * 2**16 is below 2**-25, 2**-41 * 2**16 is not"
    assert range_of(0.5).vanished(DEFAULT_SCALE) == 0.0


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_the_settled_scale_is_the_largest_power_of_two_that_fits(largest: float) -> None:
    gradients = range_of(largest)
    scale = gradients.settled_scale
    assert Fraction(largest) * Fraction(scale) <= Fraction(FLOAT16)
    assert scale == DEFAULT_SCALE or Fraction(largest) * Fraction(scale) * 2 > Fraction(FLOAT16)
    assert gradients.bits(scale) >= 0
