"""Branches that a precision key selects: ``if prec == "amp": … else: …`` with ``prec`` set to ``fp16``."""

import ast
from typing import NamedTuple

from vc2doctor.linter.analyse.dtypes import FLOAT16, as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.read.module import Place

_AUTOCAST_NAMES = frozenset({"amp", "autocast", "mixed", "native"})


class PrecisionBranch(NamedTuple):
    """A branch in which a model computes in float16 because a key of the run says so."""

    condition: ast.expr
    key: ast.expr
    """The expression that reads the key."""


def float16_branch(facts: Facts, place: Place) -> PrecisionBranch | None:
    """Return the branch for float16 weights that a place is in, or ``None``.

    The branch is one of a comparison of a key with a precision, and the key is float16 in a configuration or by
    default. A branch for autocast is none: there the weights stay float32.
    """
    for condition, wanted in place.conditions:
        comparison = condition
        if not isinstance(comparison, ast.Compare) or len(comparison.ops) != 1:
            continue
        named = comparison.comparators[0]
        if not isinstance(named, ast.Constant) or not isinstance(named.value, str):
            continue
        is_equal = isinstance(comparison.ops[0], ast.Eq) is wanted
        if not isinstance(comparison.ops[0], ast.Eq | ast.NotEq) or not _is_selected(named.value, is_equal=is_equal):
            continue
        if FLOAT16 in facts.values.dtypes(comparison.left, place):
            return PrecisionBranch(condition, comparison.left)
    return None


def _is_selected(name: str, *, is_equal: bool) -> bool:
    """Return whether float16 selects the branch where a key equals, or does not equal, a precision."""
    is_float16 = as_dtype(name) == FLOAT16
    return is_float16 if is_equal else name.lower() in _AUTOCAST_NAMES
