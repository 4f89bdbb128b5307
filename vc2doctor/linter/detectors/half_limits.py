"""Operations that half precision refuses, and limits and differences that it rounds away."""

import ast

from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.expressions import factors, is_call_of, operand, square_of, value_at
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_pattern import Pattern, arithmetic_finding, kind_of
from vc2doctor.linter.knowledge.autocast_ops import LARGEST_FLOAT16, MATRIX_PRODUCTS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Place, last_name
from vc2doctor.linter.read.syntax import walk

_FILLS = ("masked_fill", "masked_fill_")
_LOSSES_OF_PROBABILITIES = ("binary_cross_entropy", "BCELoss")
_NEEDS_OPEN_INTERVAL = frozenset({"log", "log1p", "log2", "logit", "acos", "atanh", "erfinv", "binary_cross_entropy"})
"""Functions that are infinite, or have an infinite gradient, at the end of an interval."""
_SPACING_BELOW_ONE = {True: 2.0**-8, False: 2.0**-11}
"""The distance of 1 and the number below it: in bfloat16, and in float16."""


def refused_loss(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a binary cross entropy of probabilities in a region: autocast refuses it on CUDA."""
    if not isinstance(node, ast.Call) or contexts.tensors.mode_at(place, context.tensors.mode) is not Mode.AUTOCAST:
        return None
    names = {last_name(node.func), *(call.name for call in contexts.tensors.objects.of(node.func, place).calls())}
    is_of_torch = contexts.code.resolve(place.module, place.module.dotted(node.func)) is None
    # `nn.BCELoss()` makes the loss, and does not compute it.
    if not names & set(_LOSSES_OF_PROBABILITIES) or last_name(node.func) == "BCELoss" or not is_of_torch:
        return None
    return arithmetic_finding(
        node,
        place,
        "autocast refuses binary_cross_entropy of probabilities on CUDA: it raises RuntimeError",
        (context.why, "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast"),
        "Give the logits to binary_cross_entropy_with_logits, or turn autocast off here and give it .float() inputs.",
    )


def refused_fill(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``masked_fill(half, -1e9)``: torch refuses a constant that float16 does not hold."""
    if not is_call_of(node, *_FILLS) or not isinstance(node, ast.Call) or not context.overflows:
        return None
    constant = node.args[-1] if node.args else None
    if not _is_beyond_float16(contexts, constant, place):
        return None
    if kind_of(contexts, context, operand(node), place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"masked_fill raises for float16 values: {ast.unparse(constant) if constant else ''} is beyond their range",
        (context.why, "measured: value cannot be converted to type c10::Half without overflow"),
        "Write torch.finfo(scores.dtype).min, or take the scores to float32 first.",
    )


def overflowing_store(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``scores[mask] = -1e9`` of float16 scores: the constant becomes -inf."""
    match node:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name() | ast.Attribute() as scores)], value=constant):
            if not context.overflows or not _is_beyond_float16(contexts, constant, place):
                return None
        case _:
            return None
    if kind_of(contexts, context, scores, place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(constant)} is -inf in float16, and a row that is masked as a whole becomes NaN in the softmax",
        (context.why, f"float16 ends at {LARGEST_FLOAT16:g}"),
        "Write torch.finfo(scores.dtype).min.",
    )


def _is_beyond_float16(contexts: HalfContexts, constant: ast.expr | None, place: Place) -> bool:
    values = contexts.tensors.values.of(constant, place) if constant is not None else frozenset()
    return bool(values) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and float("-inf") < each < -LARGEST_FLOAT16
        for each in values
    )


def rounded_limit(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``p.clamp(1e-7, 1 - 1e-7)`` of half values: the upper limit is 1 there."""
    if not isinstance(node, ast.Call) or not is_call_of(node, "clamp", "clip", "clamp_max"):
        return None
    limit = next((each.value for each in node.keywords if each.arg == "max"), node.args[-1] if node.args else None)
    distance = _distance_to_one(contexts, limit, place)
    spacing = _SPACING_BELOW_ONE[context.dtypes == {BFLOAT16}]
    if limit is None or distance is None or distance > spacing / 2 or not _needs_open_interval(place):
        return None
    if kind_of(contexts, context, operand(node), place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(limit)} is 1 in {dtype_names(context.dtypes)}: the limit does not keep values away from 1",
        (context.why, f"the number below 1 is 1 - {spacing:.1e} there"),
        "Take the value to float32 first, or compute the logarithm of the logits: logsigmoid(x.float()).",
    )


def _distance_to_one(contexts: HalfContexts, limit: ast.expr | None, place: Place) -> float | None:
    """Return how far a limit below 1 is from 1: ``1 - eps``, ``0.9999999``."""
    match limit:
        case ast.BinOp(left=ast.Constant(value=1 | 1.0), op=ast.Sub(), right=epsilon):
            values = contexts.tensors.values.of(epsilon, place)
            known = [each for each in values if isinstance(each, float)]
            return max(known) if known and len(known) == len(values) and min(known) > 0 else None
        case ast.Constant(value=float(value)) if 0 < 1 - value < 1:
            return 1 - value
    return None


def _needs_open_interval(place: Place) -> bool:
    calls = (call.name for call in place.module.calls_in(place.function))
    return any(name in _NEEDS_OPEN_INTERVAL for name in calls)


def expanded_distance(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``|a|² + |b|² - 2 a·b`` in a region: the product is half, and the rest cancels."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
        return None
    if contexts.tensors.mode_at(place, context.tensors.mode) is not Mode.AUTOCAST:
        return None
    sides = ((node.left, node.right), (node.right, node.left))
    if not any(_is_twice_a_product(product, place) and _has_square(rest, place) for product, rest in sides):
        return None
    return arithmetic_finding(
        node,
        place,
        f"this squared distance is expanded, and its matrix product has only the bits of {dtype_names(context.dtypes)}",
        (context.why, "near points differ in the last bits of terms that are large, and those are rounded away"),
        "Turn autocast off here (enabled=False) and give it .float() inputs, or use torch.cdist.",
    )


def _is_twice_a_product(side: ast.expr, place: Place) -> bool:
    value, at = value_at(side, place)
    parts = list(factors(value, at))
    # `2 * a @ b` is the product of `2 * a` and b.
    operands = [part.left for part in parts if isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult)]
    parts += [inner for each in operands for inner in factors(each, at)]
    is_doubled = any(isinstance(part, ast.Constant) and part.value in (2, 2.0) for part in parts)
    return is_doubled and any(_is_matrix_product(part) for part in parts)


def _is_matrix_product(node: ast.AST) -> bool:
    is_operator = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
    return is_operator or (isinstance(node, ast.Call) and last_name(node.func) in MATRIX_PRODUCTS)


def _has_square(side: ast.expr, place: Place) -> bool:
    names = [value_at(node, place)[0] for node in walk(side) if isinstance(node, ast.Name)]
    return any(square_of(inner) is not None for node in (side, *names) for inner in walk(node))


LIMITS: tuple[Pattern, ...] = (refused_loss, refused_fill, overflowing_store, rounded_limit, expanded_distance)
