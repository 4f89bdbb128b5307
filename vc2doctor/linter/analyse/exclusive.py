"""Tells whether two places in a file exclude each other: no run reaches both of them."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from vc2doctor.linter.read.module import Place

MAX_CONDITIONS = 8192
"""Conditions whose parts are kept: those of a large file are compared many times."""


def are_exclusive(place: Place, other: Place) -> bool:
    """Return whether two places are in branches that exclude each other.

    Conditions with the same text count as equal, as ``if args.fp16 and native:`` before the backward pass and again
    before the step. Of ``a and b`` both parts hold, and of ``a or b`` that does not hold, neither does.
    """
    if place.module is not other.module:
        return False
    required = {text: wanted for condition in place.conditions for text, wanted in _parts(*condition)}
    return any(
        required.get(text, wanted) is not wanted
        for condition in other.conditions
        for text, wanted in _parts(*condition)
    )


@lru_cache(maxsize=MAX_CONDITIONS)
def _parts(condition: ast.expr, wanted: bool) -> tuple[tuple[str, bool], ...]:  # noqa: FBT001 - a condition and its value
    return tuple(dict.fromkeys(_implied(condition, wanted=wanted)))


def _implied(condition: ast.expr, *, wanted: bool) -> Iterator[tuple[str, bool]]:
    """Yield the expressions, as texts, whose truth follows from that of a condition."""
    match condition:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _implied(operand, wanted=not wanted)
            return
        case ast.BoolOp(op=ast.And(), values=values) if wanted:
            for value in values:
                yield from _implied(value, wanted=True)
        case ast.BoolOp(op=ast.Or(), values=values) if not wanted:
            for value in values:
                yield from _implied(value, wanted=False)
    yield ast.unparse(condition), wanted
