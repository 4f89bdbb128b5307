"""Mask arithmetic that overflows float16.

**What it does.** Reports products of a mask and a constant below -65504, such as `(1 - mask) * -1e9`.

**Why is this bad.** In float16 the product is -inf, without a warning. A row that is masked as a whole then gives NaN
in the softmax. `-10000.0` fits float16 and bfloat16, `torch.finfo(dtype).min` fits by definition, and
`masked_fill(half, -1e9)` raises instead of overflowing (measured).

**Example**

    scores = scores + (1 - mask) * -1e9

**Use instead**

    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)

**How to fix.** Use `masked_fill` with `torch.finfo(scores.dtype).min`. To keep a line, add `# vc2doctor:
ignore[VC111]`.

**Quiet.** No finding for `-10000.0`, `finfo`, `masked_fill`, and constants that are not part of such a product. A note
where no float16 region is known to use the product.

**References**

* https://docs.pytorch.org/docs/stable/type_info.html#torch.torch.finfo
"""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place
from vc2doctor.linter.read.syntax import walk

MAX_FLOAT16 = 65504.0
"""The largest float16 value."""
_MASK = re.compile(r"mask|\b1(?:\.0*)?\s*-", re.IGNORECASE)
"""What every mask has in the text: its name, or ``1 - x``. A module without it is not searched."""
_COMPOUND_STATEMENTS = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.If
    | ast.For
    | ast.While
    | ast.With
    | ast.AsyncWith
    | ast.Try
)
"""The statements in them are statements of the module, too, so they are not searched twice."""


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield products of a mask and a constant beyond the range of float16."""
    for module in facts.code.files.modules.values():
        if _MASK.search(module.source.text) is None:
            continue
        for place in module.statements:
            if place.statement is None or isinstance(place.statement, _COMPOUND_STATEMENTS):
                continue
            for node in walk(place.statement):
                constant = _overflowing_constant(facts, node, place)
                if constant is not None and facts.stages.of(place) is not Stage.INFERS:
                    yield _overflowing_product(facts, node, place, constant)


def _overflowing_product(facts: Facts, node: ast.AST, place: Place, constant: float) -> CodeFinding:
    return build.at_node(
        place.module,
        node,
        "VC111",
        Severity.WARNING if _is_used_in_float16(facts, place) else Severity.NOTE,
        f"{build.code(node)} is -inf in float16, and a row that is masked as a whole becomes NaN",
        evidence=(f"{constant:g} is beyond float16's {MAX_FLOAT16:g}",),
        remedy="Use masked_fill with torch.finfo(scores.dtype).min.",
        url="https://docs.pytorch.org/docs/stable/type_info.html#torch.torch.finfo",
    )


def _is_used_in_float16(facts: Facts, place: Place) -> bool:
    """Return whether a program with a region that trains in float16 uses the code of ``place``.

    The module with the region imports it, or a program that imports the region uses its class: the region can be in a
    base class that knows no model. A function that nothing in the project calls is not used.
    """
    function = place.function
    is_called = facts.code.callers(function) or function.cls is not None or not function.name
    unit = facts.code.unit_of(place.module)
    modules = {region.place.module for region in facts.autocast.training_regions(unit) if FLOAT16 in region.dtypes}
    if not is_called or not modules:
        return False
    if any(place.module in facts.code.import_closure(module) for module in modules):
        return True
    return function.cls is not None and any(
        function.cls in facts.reach.classes_of(unit, frozenset([module])) for module in modules
    )


def _overflowing_constant(facts: Facts, node: ast.AST, place: Place) -> float | None:
    """Return the constant of ``mask * constant`` if it is below the range of float16 for certain."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return None
    for mask, factor in ((node.left, node.right), (node.right, node.left)):
        if _is_mask(mask):
            values = facts.values.of(factor, place)
            overflowing = [value for value in values if _overflows(value)]
            # A literal -inf is intended.
            if overflowing and len(overflowing) == len(values) and overflowing[0] != float("-inf"):
                return float(overflowing[0])
    return None


def _is_mask(node: ast.expr) -> bool:
    """Return whether an expression is a mask: by its name, or as ``1 - x``."""
    is_inverted = (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.left, ast.Constant)
        and node.left.value in (1, 1.0)
    )
    return is_inverted or "mask" in ast.unparse(node).lower()


def _overflows(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value < -MAX_FLOAT16
