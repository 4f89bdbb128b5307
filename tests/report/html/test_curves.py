"""The layout of curves: where values, gaps and ticks stand."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.report.html import curves
from vc2doctor.report.html.curves import Curve, Point, curve

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def made(*values: float | None, control: tuple[float | None, ...] = ()) -> Curve:
    return curve("Loss", *([Point(str(i), value) for i, value in enumerate(each)] for each in (values, control)))


def test_larger_values_stand_higher_and_later_ones_further_right() -> None:
    marks = made(4.0, 3.0, 5.0).marks
    assert marks[2].y < marks[0].y < marks[1].y
    assert marks[0].x < marks[1].x < marks[2].x


def test_value_that_is_not_finite_stands_above_all_and_interrupts_the_line() -> None:
    drawn = made(4.0, 3.0, None, 2.0, 1.0)
    assert [mark.kind for mark in drawn.marks] == ["taken", "taken", "lost", "taken", "taken"]
    assert drawn.marks[2].y < min(mark.y for mark in drawn.marks if mark.kind != "lost")
    assert [line.count(",") for line in drawn.lines] == [2, 2]


def test_steps_on_different_batches_are_not_joined() -> None:
    drawn = curve("Loss", [Point(str(number), 4.0, line=number % 2) for number in range(6)])
    assert [line.count(",") for line in drawn.lines] == [3, 3]


def test_values_of_very_different_size_have_a_logarithmic_scale() -> None:
    drawn = made(1.0, 10.0, 1000.0)
    assert drawn.is_logarithmic
    first, second, third = (mark.y for mark in drawn.marks)
    assert math.isclose(first - second, (first - third) / 3, abs_tol=0.2)
    assert not made(-1.0, 10.0, 1000.0).is_logarithmic, "it has no logarithm"


def test_ticks_are_round_numbers_around_the_values() -> None:
    assert [tick.text for tick in made(4.53, 4.39).y_ticks] == ["4.35", "4.4", "4.45", "4.5", "4.55"]
    assert [tick.text for tick in made(0.0, 90.0).y_ticks] == ["0", "50", "100"]


def test_control_shares_the_scale_and_has_no_marks() -> None:
    drawn = made(None, None, control=(4.0, 3.0, 2.0))
    assert len(drawn.marks) == 2
    assert len(drawn.control) == 1
    assert [tick.text for tick in drawn.x_ticks] == ["0", "2"]


def test_nothing_finite_leaves_the_axis_without_numbers() -> None:
    drawn = made(None)
    assert (drawn.y_ticks, drawn.lines) == ((), ())
    assert drawn.summary == "1 step; NaN or infinite at step 0"


@given(st.lists(st.none() | FINITE, min_size=1, max_size=30), st.lists(FINITE, max_size=5))
def test_every_mark_and_tick_stands_within_the_chart(values: list[float | None], control: list[float]) -> None:
    drawn = made(*values, control=tuple(control))
    assert len(drawn.marks) == len(values)
    assert len(drawn.y_ticks) <= 6
    for mark in drawn.marks:
        assert curves.LEFT <= mark.x <= curves.RIGHT
        assert 0 <= mark.y <= curves.BOTTOM
    for tick in drawn.y_ticks:
        assert curves.TOP <= tick.position <= curves.BOTTOM
