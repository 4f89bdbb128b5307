"""What the parameters of ``forward`` are in a model that is half as a whole."""

from collections.abc import Mapping

from vc2doctor.linter.analyse.tensor_kinds import Kind
from vc2doctor.linter.read.module import Class, Function

_OF_INDICES = (
    "ids",
    "id",
    "labels",
    "label",
    "mask",
    "masks",
    "idx",
    "index",
    "indices",
    "length",
    "lengths",
    "targets",
)
"""Last words of names that hold integers, or that are made beside the model and are not cast with it."""


def is_of_indices(name: str) -> bool:
    """Return whether a name holds integers, or values that are not cast with the model."""
    return name.rpartition("_")[2] in _OF_INDICES


def parameter_kinds(function: Function, cls: Class | None) -> Mapping[str, Kind]:
    """Return what the parameters of ``forward`` are in a half model: half, except those that hold integers."""
    names = function.parameters()[1 if cls is not None else 0 :]
    return {name: Kind.HALF for name in names if not is_of_indices(name) and name not in function.defaults()}
