"""Describe measured cells in few lines: neighboring releases with the same outcome share one."""

from collections.abc import Iterable
from typing import NamedTuple

from vc2doctor.core.versions import STACK_PACKAGES, version
from vc2doctor.matrix.compiled import MeasuredCell, Verdicts

_AXES = ("python", *STACK_PACKAGES)


class _Box(NamedTuple):
    """Measured cells that fill a box of consecutive releases, with one outcome."""

    ends: tuple[tuple[str, str], ...]
    """First and last release by axis."""
    outcome: str


def joined_cells(cells: Iterable[tuple[MeasuredCell, str]], verdicts: Verdicts) -> list[str]:
    """Return descriptions of cells with their outcomes, in the order of the first cell of each description.

    ``transformers 5.22.2 to 5.24.0`` means that every known release between was measured, too.
    """
    boxes = list(dict.fromkeys(_box(cell, outcome) for cell, outcome in cells))
    index = 0
    while index < len(boxes):
        for later in range(index + 1, len(boxes)):
            joined = _joined(boxes[index], boxes[later], verdicts)
            if joined is not None:
                boxes[index] = joined
                del boxes[later]
                # The larger box may now touch one that it did not touch before.
                index = -1
                break
        index += 1
    return [_describe(box) for box in boxes]


def _box(cell: MeasuredCell, outcome: str) -> _Box:
    releases = [_release(cell, axis) for axis in _AXES]
    return _Box(tuple(zip(releases, releases, strict=True)), outcome)


def _release(cell: MeasuredCell, axis: str) -> str:
    # A local part (`+cpu`) says which build was measured; it does not count in a verdict.
    return cell.python if axis == "python" else str(version(getattr(cell, axis)))


def _joined(first: _Box, second: _Box, verdicts: Verdicts) -> _Box | None:
    """Return the box of two that touch along one axis and are equal along the others; ``None``: they do not."""
    different = [number for number in range(len(_AXES)) if first.ends[number] != second.ends[number]]
    if first.outcome != second.outcome or len(different) != 1:
        return None
    number = different[0]
    low, high = sorted((first.ends[number], second.ends[number]), key=lambda ends: version(ends[0]))
    if _position(_AXES[number], low[1], verdicts) + 1 != _position(_AXES[number], high[0], verdicts):
        return None
    ends = (*first.ends[:number], (low[0], high[1]), *first.ends[number + 1 :])
    return _Box(ends, first.outcome)


def _position(axis: str, text: str, verdicts: Verdicts) -> int:
    return version(text).release[1] if axis == "python" else verdicts.release_index(axis, text)


def _describe(box: _Box) -> str:
    names = ("Python", *STACK_PACKAGES)
    parts = [
        f"{name} {first if first == last else f'{first} to {last}'}"
        for name, (first, last) in zip(names, box.ends, strict=True)
    ]
    return f"{', '.join(parts)}: {box.outcome}"
