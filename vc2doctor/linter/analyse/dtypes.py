"""Dtypes of torch as values, and what operators make of values."""

import ast
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from vc2doctor.linter.read.config import UNKNOWN, Flag, Unknown


class Dtype(NamedTuple):
    """A dtype of torch, by its plain name: ``float16``."""

    name: str


FLOAT16, BFLOAT16, FLOAT32 = Dtype("float16"), Dtype("bfloat16"), Dtype("float32")

Value = Any
"""A constant, a ``Dtype``, or ``UNKNOWN``."""

_DTYPES = {
    **dict.fromkeys(("float16", "half", "fp16", "torch.float16", "torch.half"), FLOAT16),
    **dict.fromkeys(("bfloat16", "bf16", "torch.bfloat16"), BFLOAT16),
    **dict.fromkeys(("float32", "float", "fp32", "torch.float32", "torch.float"), FLOAT32),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Value, Value], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def as_dtype(value: Value) -> Value:
    """Return the ``Dtype`` that a string names (``"bf16"``), and any other value as it is."""
    return _DTYPES.get(value, value) if isinstance(value, str) else value


def torch_dtype(dotted: str) -> frozenset[Value] | None:
    """Return the dtype that a dotted name of torch is, or ``None``."""
    return frozenset([_DTYPES[dotted]]) if dotted.startswith("torch.") and dotted in _DTYPES else None


def unary(operation: ast.unaryop, operand: frozenset[Value]) -> frozenset[Value]:
    """Return the results of an operation for every value of its operand."""
    if isinstance(operation, ast.Not):
        return frozenset(UNKNOWN if isinstance(value, Unknown) else not value for value in operand)
    if isinstance(operation, ast.USub):
        return frozenset(-value if isinstance(value, int | float) else UNKNOWN for value in operand)
    return frozenset([UNKNOWN])


def compare(comparison: ast.cmpop, lefts: frozenset[Value], rights: frozenset[Value]) -> frozenset[Value]:
    """Return the results of a comparison for every pair of values."""
    function = _COMPARISONS.get(type(comparison))
    results: set[Value] = set()
    for left in lefts:
        for right in rights:
            if function is None or isinstance(left, Unknown) or isinstance(right, Unknown):
                results.add(UNKNOWN)
                continue
            try:
                results.add(bool(function(as_dtype(left), as_dtype(right))))
            except TypeError:
                results.add(UNKNOWN)
    return frozenset(results)


def of_flag(flag: Flag) -> Value:
    """Return the value that a flag of a command line has in the program."""
    if flag.value is None:
        return True
    text = flag.value.lower()
    if text in ("true", "false"):
        return text == "true"
    # What the shell fills in is not known.
    return UNKNOWN if "$" in text else flag.value


def plain(value: Value) -> Value:
    """Return a value of a configuration, or ``UNKNOWN`` if it is a list or a mapping."""
    return value if isinstance(value, bool | int | float | str | None) else UNKNOWN


def contained(values: frozenset[Value], containers: frozenset[Value], *, is_in: bool) -> frozenset[Value]:
    """Return the results of ``in``, or of ``not in``, for every pair of a value and a text or a set of values."""
    results: set[Value] = set()
    for value in values:
        for container in containers:
            is_text = isinstance(value, str) and isinstance(container, str)
            is_known = is_text or (isinstance(container, frozenset) and UNKNOWN not in container)
            if isinstance(value, Unknown) or not is_known:
                results.add(UNKNOWN)
            else:
                results.add((value in container) is is_in)
    return frozenset(results)
