"""What the patterns of arithmetic in half precision share: their type, the dtype of a value, and their finding."""

import ast
from collections.abc import Callable

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.tensor_kinds import Kind
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place

_OPS_URL = f"{build.AMP_URL}#cuda-op-specific-behavior"

Pattern = Callable[[HalfContexts, HalfContext, ast.AST, Place], CodeFinding | None]


def kind_of(contexts: HalfContexts, context: HalfContext, value: ast.expr | None, place: Place) -> Kind:
    """Return the dtype of a value in a function that training runs in half precision."""
    return contexts.tensors.of(value, place, context.tensors) if value is not None else Kind.UNKNOWN


def arithmetic_finding(
    node: ast.AST, place: Place, message: str, evidence: tuple[str, ...], remedy: str
) -> CodeFinding:
    """Return the finding of VC110 about one operation."""
    return build.at_node(
        place.module,
        node,
        "VC110",
        Severity.WARNING,
        message,
        evidence=evidence,
        remedy=remedy,
        url=_OPS_URL,
        role="cast",
    )
