"""Edits to bfloat16 that several rules share: of dtypes in an expression, and of a loss scaler."""

import ast

from vc2doctor.linter import change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import scaler_follows_dtype
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.model import Edit
from vc2doctor.linter.read.module import Module


def float16_to_bfloat16(module: Module, expression: ast.expr) -> tuple[Edit, ...]:
    """Return the edits that replace each float16 in an expression by bfloat16.

    A choice between the two dtypes (``bfloat16 if flag else float16``) is left as it is: there the flag has to change.
    """
    if isinstance(expression, ast.IfExp) and "bfloat16" in ast.unparse(expression):
        return ()
    edits = []
    for node in ast.walk(expression):
        if isinstance(node, ast.Attribute) and node.attr in ("float16", "half"):
            edits.append(change.replace_expression(module, node, f"{ast.unparse(node.value)}.bfloat16"))
        elif isinstance(node, ast.Constant) and node.value in ("float16", "fp16", "half"):
            text = '"bf16"' if node.value == "fp16" else '"bfloat16"'
            edits.append(change.replace_expression(module, node, text))
    return tuple(edits)


def cast_to_bfloat16(cast: Cast) -> tuple[Edit, ...]:
    """Return the edits that turn a cast to float16 into one to bfloat16: ``.half()``, ``.to(torch.float16)``."""
    module = cast.call.place.module
    if cast.dtype_argument is not None:
        return float16_to_bfloat16(module, cast.dtype_argument)
    function = cast.call.node.func
    if not isinstance(function, ast.Attribute) or function.attr != "half":
        return ()
    return (change.replace_expression(module, function, f"{change.source(module, function.value)}.bfloat16"),)


def tensor_type_to_bfloat16(module: Module, setter: ast.Call) -> tuple[Edit, ...]:
    """Return the edits that make a default tensor type bfloat16: ``torch.cuda.HalfTensor``, ``torch.float16``."""
    edits = [
        change.replace_expression(module, node, f"{ast.unparse(node.value)}.BFloat16Tensor")
        for node in ast.walk(setter)
        if isinstance(node, ast.Attribute) and node.attr == "HalfTensor"
    ]
    return tuple(edits) or float16_to_bfloat16(module, setter.args[0])


def disable_scaler(facts: Facts, scaler: Scaler) -> tuple[Edit, ...]:
    """Return the edits that disable a scaler for bfloat16; a scaler that follows the dtype needs none."""
    if scaler_follows_dtype(facts, scaler):
        return ()
    module = scaler.call.place.module
    line = scaler.call.node.end_lineno or scaler.call.node.lineno
    comment = change.add_comment(module.name, line, "bfloat16 needs no loss scaling: enable it for float16 only")
    return (change.set_keyword(module, scaler.call.node, "enabled", "False"), comment)
