"""Evaluates conditions about the device as they are on CUDA, because programs are judged as they train there.

Many programs choose float32 on a machine without a GPU. The branch for CUDA is the one that is judged.
"""

import ast
import re

from vc2doctor.linter.analyse.dtypes import Value
from vc2doctor.linter.read.module import Place

_AVAILABLE = {"torch.cuda.is_available()": True, "torch.backends.mps.is_available()": False}
_DEVICE = re.compile(r"(^|[._])device(_type|\.type)?$|^str\(.*\bdevice\)$")
"""Texts of expressions that name a device or its type: ``args.device``, ``device_type``, ``x.device.type``."""
_KINDS = {"cuda": True, "cpu": False, "mps": False}


def on_cuda(expression: ast.expr) -> frozenset[Value]:
    """Return the truth on CUDA of a question about the device; empty: the expression asks for something else."""
    match expression:
        case ast.Call(func=ast.Attribute(value=device, attr="startswith"), args=[ast.Constant(value=kind)]):
            answer = _KINDS.get(str(kind)) if _is_device(device) else None
        case ast.Call():
            answer = _AVAILABLE.get(ast.unparse(expression))
        case ast.Compare(
            left=device, ops=[ast.Eq() | ast.NotEq() as comparison], comparators=[ast.Constant(value=kind)]
        ):
            is_kind = _KINDS.get(str(kind)) if _is_device(device) else None
            answer = None if is_kind is None else is_kind is isinstance(comparison, ast.Eq)
        case ast.Compare(left=ast.Constant(value=kind), ops=[ast.In()], comparators=[device]):
            answer = _KINDS.get(str(kind)) if _is_device(device) else None
        case _:
            answer = None
    return frozenset() if answer is None else frozenset([answer])


def is_off_cuda(place: Place) -> bool:
    """Return whether a place is in a branch for other devices than CUDA."""
    answers = ((on_cuda(condition), wanted) for condition, wanted in place.conditions)
    return any(answer and wanted not in answer for answer, wanted in answers)


def _is_device(expression: ast.expr) -> bool:
    return _DEVICE.search(ast.unparse(expression)) is not None
