"""Mask arithmetic that overflows float16.

**Why.** `(1 - mask) * -1e9` is -inf in float16, silently; a row that is masked as a whole then gives NaN in the softmax.
`-10000.0` fits float16 and bfloat16, `torch.finfo(dtype).min` fits by definition, and `masked_fill(half, -1e9)` does not
overflow silently: torch raises.

**Bad**

    scores = scores + (1 - mask) * -1e9

**Good**

    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)

**Quiet** for `-10000.0`, `finfo`, `masked_fill`, and constants that are no part of such a product.

**Silence** a line with `# vc2doctor: ignore[VC111]`.

**Since** every release of torch.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.values import HALF
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module, Place

_LARGEST = 65504.0
"""Of float16."""


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find products of a mask and a constant beyond float16."""
    for module in facts.code.files.modules.values():
        for place in module.statements:
            statement = place.statement
            if statement is None or isinstance(
                statement,
                ast.FunctionDef
                | ast.AsyncFunctionDef
                | ast.ClassDef
                | ast.If
                | ast.For
                | ast.While
                | ast.With
                | ast.AsyncWith
                | ast.Try,
            ):
                continue
            for node in ast.walk(statement):
                constant = _product(facts, node, place)
                if constant is not None and facts.stages.of(place) is not Stage.INFERS:
                    yield build.at(
                        module,
                        node,
                        "VC111",
                        Severity.WARNING if _in_half(facts, module) else Severity.NOTE,
                        f"{build.code(node)} is -inf in float16, and a row masked as a whole becomes NaN",
                        evidence=(f"{constant:g} is beyond float16's {_LARGEST:g}",),
                        remedy="Use masked_fill with torch.finfo(scores.dtype).min.",
                        url="https://docs.pytorch.org/docs/stable/type_info.html#torch.torch.finfo",
                    )


def _in_half(facts: Facts, module: Module) -> bool:
    """Say whether some region that trains in float16 belongs to a module that imports this one."""
    return any(
        HALF in region.dtypes
        and region.stage is Stage.TRAINS
        and module in facts.code.import_closure(region.place.module)
        for region in facts.autocast.regions
    )


def _product(facts: Facts, node: ast.AST, place: Place) -> float | None:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return None
    for mask, other in ((node.left, node.right), (node.right, node.left)):
        text = ast.unparse(mask).lower()
        if not (
            "mask" in text or (isinstance(mask, ast.BinOp) and isinstance(mask.op, ast.Sub) and _is_one(mask.left))
        ):
            continue
        values = facts.values.of(other, place)
        bad = [
            value
            for value in values
            if isinstance(value, int | float) and not isinstance(value, bool) and value < -_LARGEST
        ]
        if bad and len(bad) == len(values) and bad[0] != float("-inf"):
            return float(bad[0])
    return None


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (1, 1.0)
