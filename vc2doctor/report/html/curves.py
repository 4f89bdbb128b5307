"""Lay out a small line chart: pure functions from values to positions, which a template draws as SVG."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

WIDTH, HEIGHT = 280, 128
"""Of the chart, in units of its own: it takes the width of its place."""
LEFT, RIGHT, TOP, BOTTOM = 50, 276, 16, 106
"""The edges of the area for the curve. The left one leaves room for numbers such as 2.1e+08."""
_INSET = 6
"""Between the edges and the first and last point: half of a mark."""
_LOST_Y = 6
"""Where the marks of values stand that are not finite: above all that are."""
_MAX_LINEAR_RATIO = 100.0
"""With a larger ratio between its positive values, a curve is drawn on a logarithmic scale: else the small ones would
lie on one line."""
_SMALLEST, _LARGEST = 1e-300, 1e300
"""Beyond these, a difference or a power of ten is infinite or 0. No training is there."""
_FLAT = 1e-9
"""Of the values themselves: a range that is smaller is drawn as one without any change."""
_TICKS = 3
_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Distances between ticks that people read easily, up to a power of ten."""

MarkKind = Literal["taken", "skipped", "lost"]
"""``lost``: NaN or infinite."""


class Point(NamedTuple):
    """One value of a series."""

    name: str
    """The step, as the axis shows it."""
    value: float | None
    """``None``: NaN or infinite."""
    is_skipped: bool = False
    line: int = 0
    """The line that it belongs to: steps on different batches are not joined, because their levels differ."""


class Mark(NamedTuple):
    """A point of the chart, with what it says."""

    x: float
    y: float
    kind: MarkKind
    text: str


class Tick(NamedTuple):
    """A number beside an axis."""

    position: float
    text: str


class Curve(NamedTuple):
    """A chart that is ready to be drawn."""

    title: str
    summary: str
    """What a reader who does not see the chart must know."""
    lines: tuple[str, ...]
    """Points of the polylines, one for each line; a value that is not finite interrupts its line."""
    control: tuple[str, ...]
    """The same of the series that it is compared with."""
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    is_logarithmic: bool


class _Scale(NamedTuple):
    """Places values between the lower and the upper edge of the chart."""

    low: float
    high: float
    is_logarithmic: bool

    def y(self, value: float) -> float:
        low, high, value = (
            math.log10(each) if self.is_logarithmic else each for each in (self.low, self.high, _drawable(value))
        )
        share = (value - low) / (high - low)
        return round(BOTTOM - max(0.0, min(share, 1.0)) * (BOTTOM - TOP), 1)


def curve(title: str, points: Sequence[Point], control: Sequence[Point] = ()) -> Curve:
    """Return the chart of ``points``, with the series ``control`` behind it on the same scale."""
    values = [_drawable(point.value) for point in (*points, *control) if point.value is not None]
    scale, ticks = _scale(values)
    length = max(len(points), len(control))
    return Curve(
        title=title,
        summary=_summary(points),
        lines=tuple(_lines(points, scale, length)),
        control=tuple(_lines(control, scale, length)),
        marks=tuple(_mark(index, point, scale, length) for index, point in enumerate(points)),
        x_ticks=tuple(_x_ticks(max(points, control, key=len))),
        y_ticks=tuple(Tick(scale.y(tick), f"{tick:.4g}") for tick in ticks),
        is_logarithmic=scale.is_logarithmic,
    )


def _drawable(value: float) -> float:
    """Return a value, or the nearest one that the arithmetic of a scale can hold."""
    return 0.0 if abs(value) < _SMALLEST else max(-_LARGEST, min(value, _LARGEST))


def _summary(points: Sequence[Point]) -> str:
    finite = [point for point in points if point.value is not None]
    lost = [point.name for point in points if point.value is None]
    parts = [f"{len(points)} steps" if len(points) != 1 else "1 step"]
    if finite:
        parts.append(f"from {finite[0].value:.4g} at step {finite[0].name} to {finite[-1].value:.4g}")
    if lost:
        parts.append(f"NaN or infinite at step {', '.join(lost)}")
    return "; ".join(parts)


def _x(index: int, length: int) -> float:
    share = index / (length - 1) if length > 1 else 0.5
    return round(LEFT + _INSET + share * (RIGHT - LEFT - 2 * _INSET), 1)


def _mark(index: int, point: Point, scale: _Scale, length: int) -> Mark:
    if point.value is None:
        return Mark(_x(index, length), _LOST_Y, "lost", f"step {point.name}: NaN or infinite")
    kind: MarkKind = "skipped" if point.is_skipped else "taken"
    skipped = ", the optimizer step was skipped" if point.is_skipped else ""
    return Mark(_x(index, length), scale.y(point.value), kind, f"step {point.name}: {point.value:.6g}{skipped}")


def _lines(points: Sequence[Point], scale: _Scale, length: int) -> Iterator[str]:
    for line in dict.fromkeys(point.line for point in points):
        yield from _parts([each for each in enumerate(points) if each[1].line == line], scale, length)


def _parts(points: Sequence[tuple[int, Point]], scale: _Scale, length: int) -> Iterator[str]:
    part: list[str] = []
    for index, point in points:
        if point.value is not None:
            part.append(f"{_x(index, length):g},{scale.y(point.value):g}")
        elif part:
            yield " ".join(part)
            part = []
    if part:
        yield " ".join(part)


def _x_ticks(points: Sequence[Point]) -> Iterator[Tick]:
    for index in sorted({0, len(points) - 1} if points else ()):
        yield Tick(_x(index, len(points)), points[index].name)


def _scale(values: Sequence[float]) -> tuple[_Scale, tuple[float, ...]]:
    """Return the scale that holds all values, and its ticks; none if there is no value."""
    if not values:
        return _Scale(0.0, 1.0, is_logarithmic=False), ()
    low, high = min(values), max(values)
    if low > 0 and high / low > _MAX_LINEAR_RATIO:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        every = math.ceil((last - first) / _TICKS)
        ticks = tuple(10.0**exponent for exponent in range(first, last + 1, every))
        return _Scale(10.0**first, 10.0**last, is_logarithmic=True), ticks
    ticks = tuple(_round_ticks(low, high))
    return _Scale(ticks[0], ticks[-1], is_logarithmic=False), ticks


def _round_ticks(low: float, high: float) -> Iterator[float]:
    """Yield a few round numbers, of which the first is at most ``low``, and the last at least ``high``."""
    size, span = max(abs(low), abs(high)), high - low
    if span <= size * _FLAT:
        span = size * 0.1 or 1.0
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = power * next(each for each in _ROUND_STEPS if each * power * _TICKS >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    for number in range(first, max(last, first + 1) + 1):
        yield number * step
