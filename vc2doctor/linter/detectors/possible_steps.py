"""Patterns of training steps that half precision may break: penalties on gradients, averages of weights, schedules."""

import ast
import re

from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.expressions import operand
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_pattern import arithmetic_finding, kind_of
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, Place, last_name
from vc2doctor.linter.read.syntax import walk

_SCHEDULE = re.compile(r"alphas?_?(cum)?prod|alphas?_bar")
_SCALES = re.compile(r"scaler|loss_scale|\.scale\(|inv_scale")


def gradient_penalty(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a penalty on gradients of a half model, which nothing scales in float16."""
    if not isinstance(node, ast.Call) or not place.module.dotted(node.func).endswith("autograd.grad"):
        return None
    call = Call(node, place)
    graph, outputs = call.argument("create_graph"), call.argument("outputs", 0)
    is_of_second_order = isinstance(graph, ast.Constant) and graph.value is True
    if not is_of_second_order or outputs is None or not context.overflows or mentions_float32(outputs):
        return None
    given = operand(outputs) if isinstance(outputs, ast.Call) else outputs
    is_float32 = kind_of(contexts, context, given, place) is Kind.FLOAT32
    if is_float32 or _is_off(contexts, context, place) or _SCALES.search(_text_of(place.function)):
        return None
    return arithmetic_finding(
        node,
        place,
        "these gradients go through a float16 network without a loss scale: small ones are zero, and their squares "
        "give NaN in the second backward pass",
        (context.why, "the scaler multiplies the loss, and not the outputs whose gradients are taken here"),
        "Compute the penalty with autocast off and float32 inputs, or scale the outputs and divide the gradients: "
        "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-penalty",
    )


def _is_off(contexts: HalfContexts, context: HalfContext, place: Place) -> bool:
    """Return whether a region around a place, in a program with regions, turns autocast off."""
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    return mode is Mode.PLAIN and context.tensors.mode is Mode.AUTOCAST


def _text_of(function: Function) -> str:
    return "" if isinstance(function.node, ast.Module) else ast.unparse(function.node)


def half_average(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a moving average of half weights: each step is below the spacing of the average."""
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    if not isinstance(node, ast.Call) or mode is not Mode.HALF_MODEL:
        return None
    # A class of averages copies the model when it is made, which is before an engine casts it.
    function, named = place.function, words(place.function.name)
    is_average = function.cls is None and ("ema" in named or len(named & {"moving", "average", "averaged"}) > 1)
    if not is_average or not _updates(node) or any(_is_float32(each) for each in walk(function.node)):
        return None
    if not re.search(r"param|weight|\bp\b", ast.unparse(node)):
        return None
    return arithmetic_finding(
        node,
        place,
        f"this moving average is kept in {dtype_names(context.dtypes)}: with a decay near 1 its steps are below the "
        "spacing of the weights, and are lost",
        (context.why, "the averaged copy has the dtype of the model"),
        "Keep the average in float32: copy the parameters with .float() before the first step.",
    )


def _updates(node: ast.Call) -> bool:
    """Return whether a call mixes an average and a weight: ``lerp``, ``ema.mul_(decay).add_(p, alpha=1 - decay)``."""
    name = last_name(node.func)
    if name in ("lerp", "lerp_"):
        return True
    inner = node.func.value if isinstance(node.func, ast.Attribute) else None
    return name == "add_" and isinstance(inner, ast.Call) and last_name(inner.func) == "mul_"


def _is_float32(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("float", "float32")


def rounded_schedule(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about the products of a noise schedule that are cast to the dtype of latents before ``1 - a``.

    Whether latents are half does not depend on a region: a half autoencoder gives them.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    # Most casts are of other values, so the text of the module is asked first.
    if _SCHEDULE.search(place.module.source.text) is None:
        return None
    receiver, dtype = node.func.value, _dtype_argument(node)
    text = ast.unparse(receiver)
    if dtype is None or not _SCHEDULE.search(text) or re.search(r"sqrt|\*\*|1 -", text):
        return None
    is_of_values = isinstance(dtype, ast.Attribute) and dtype.attr == "dtype"
    given = kind_of(contexts, context, dtype.value, place) if isinstance(dtype, ast.Attribute) else Kind.UNKNOWN
    is_literal = bool(contexts.facts.values.dtypes(dtype, place) & HALF_DTYPES)
    if not is_literal and (not is_of_values or given is Kind.FLOAT32):
        return None
    if not _is_subtracted_from_one(node, place):
        return None
    near = "0.998" if context.dtypes == {BFLOAT16} else "0.9998 in float16, and 0.998 in bfloat16,"
    return arithmetic_finding(
        node,
        place,
        f"the schedule is cast to the dtype of the latents before 1 - alpha: products above {near} become 1, and the "
        "noise of early steps 0",
        (context.why,),
        "Compute the square roots of alpha and of 1 - alpha in float32, and cast the results.",
    )


def _dtype_argument(node: ast.Call) -> ast.expr | None:
    if last_name(node.func) != "to":
        return None
    keyword = next((each.value for each in node.keywords if each.arg == "dtype"), None)
    positional = (each for each in node.args if "dtype" in ast.unparse(each) or "16" in ast.unparse(each))
    return keyword if keyword is not None else next(positional, None)


def _is_subtracted_from_one(node: ast.Call, place: Place) -> bool:
    """Return whether the name that a cast is assigned to, or an element of it, is subtracted from 1 behind it."""
    targets = [ast.unparse(each) for each in place.targets]
    for each in walk(place.function.node):
        if not isinstance(each, ast.BinOp) or not isinstance(each.op, ast.Sub) or each.lineno < node.lineno:
            continue
        is_one = isinstance(each.left, ast.Constant) and each.left.value in (1, 1.0)
        base = each.right.value if isinstance(each.right, ast.Subscript) else each.right
        if is_one and ast.unparse(base) in targets:
            return True
    return False
