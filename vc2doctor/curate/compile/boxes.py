"""Boxes of versions: the smallest ones that hold given points and exclude others."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from packaging.version import Version

from vc2doctor.core.versions import interface_version, version
from vc2doctor.matrix.evidence import EvidenceLine

Point = dict[str, Version]
"""The versions of a measured cell, by axis: a distribution or ``python``."""
Side = tuple[Version, Version]
"""Lowest and highest version along one axis."""


class Box(NamedTuple):
    """A range of versions on each of some axes. A box without axes holds every point."""

    sides: dict[str, Side]

    def contains(self, point: Point) -> bool:
        """Return whether ``point`` lies inside; a point that lacks an axis does not."""
        return all(axis in point and low <= point[axis] <= high for axis, (low, high) in self.sides.items())

    def extended_to(self, point: Point) -> "Box":
        """Return the smallest box around this one and ``point``."""
        return Box({axis: (min(low, point[axis]), max(high, point[axis])) for axis, (low, high) in self.sides.items()})

    def without(self, axis: str) -> "Box":
        """Return the box on the other axes."""
        return Box({name: side for name, side in self.sides.items() if name != axis})


def point_of(line: EvidenceLine) -> Point:
    """Return the versions of a measured cell by axis, torch by its minor release."""
    return {name: interface_version(name, version(text)) for name, text in line.versions.items()}


def box_at(point: Point, axes: Iterable[str]) -> Box:
    """Return the box that holds only ``point`` on ``axes``."""
    return Box({axis: (point[axis], point[axis]) for axis in axes})


def covering_boxes(axes: Sequence[str], inside: Iterable[Point], outside: Sequence[Point]) -> list[Box] | None:
    """Return few boxes along ``axes`` that hold every point of ``inside`` and none of ``outside``.

    Points are visited in order, and each extends the first box that can take it (greedy, so the number of boxes is
    small but not proven minimal). ``None``: two points differ only on other axes, so no boxes can separate them.
    """
    boxes: list[Box] = []
    for point in sorted(inside, key=lambda point: [point[axis] for axis in axes]):
        if any(box.contains(point) for box in boxes):
            continue
        single = box_at(point, axes)
        if any(single.contains(other) for other in outside):
            return None
        for index, box in enumerate(boxes):
            extended = box.extended_to(point)
            if not any(extended.contains(other) for other in outside):
                boxes[index] = extended
                break
        else:
            boxes.append(single)
    return boxes


def nearest_to(box: Box, points: Iterable[Point]) -> list[Point]:
    """Return the points with none of the others between them and ``box``, reduced to the axes of the box."""
    axes = tuple(box.sides)
    positions = {tuple(point[axis] for axis in axes) for point in points if all(axis in point for axis in axes)}
    reduced: list[Point] = [dict(zip(axes, position, strict=True)) for position in sorted(positions)]
    nearest = []
    for point in reduced:
        extended = box.extended_to(point)
        if not any(extended.contains(other) for other in reduced if other is not point):
            nearest.append(point)
    return nearest
