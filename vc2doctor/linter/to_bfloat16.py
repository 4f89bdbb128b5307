"""Edits to bfloat16 that several rules share: of dtypes in an expression, and of a scaler that it does not need."""

import ast

from vc2doctor.linter import change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loss_scaling import follows_the_dtype
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.model import Edit
from vc2doctor.linter.read.module import Module


def halves_to_bf16(module: Module, given: ast.expr) -> tuple[Edit, ...]:
    """Return the edits that make each float16 in an expression bfloat16.

    One arm of a choice between the two is left: there the flag has to change.
    """
    if isinstance(given, ast.IfExp) and "bfloat16" in ast.unparse(given):
        return ()
    edits = []
    for node in ast.walk(given):
        if isinstance(node, ast.Attribute) and node.attr in ("float16", "half"):
            edits.append(change.replace(module, node, f"{ast.unparse(node.value)}.bfloat16"))
        elif isinstance(node, ast.Constant) and node.value in ("float16", "fp16", "half"):
            edits.append(change.replace(module, node, '"bf16"' if node.value == "fp16" else '"bfloat16"'))
    return tuple(edits)


def disable_scaler(facts: Facts, scaler: Scaler) -> tuple[Edit, ...]:
    """Return the edits that turn a scaler off for bfloat16; one that follows the dtype itself needs none."""
    if follows_the_dtype(facts, scaler):
        return ()
    module = scaler.call.place.module
    line = scaler.call.node.end_lineno or scaler.call.node.lineno
    comment = change.comment(module.name, (line, line), "bfloat16 needs no loss scaling: enable it for float16 only")
    return (change.keyword(module, scaler.call.node, "enabled", "False"), comment)
