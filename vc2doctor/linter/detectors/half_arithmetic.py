"""Arithmetic that float16 or bfloat16 breaks, in functions that training runs in half precision."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.expressions import factors, is_call_of, operand, square_of, value_at
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_limits import LIMITS
from vc2doctor.linter.detectors.half_pattern import Pattern, arithmetic_finding, kind_of
from vc2doctor.linter.detectors.half_programs import found_in_half
from vc2doctor.linter.knowledge.autocast_ops import MATRIX_PRODUCTS, SMALLEST_FLOAT16
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Place, last_name

_MAY_BREAK = re.compile(
    r"1e-|exp\(|sigmoid|\bvar|\bsum\(|pow\(2\)|\*\* ?2|fill|full_like|-\s*\d+e|-\d{6}|BCELoss|binary_cross"
)
"""What all patterns have in the text. A module without it is not searched."""
_TAKES_EPSILON = ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal")
_SCALES = re.compile(r"scale|temp|tau|alpha|gamma|beta")
"""Names of single numbers whose exponential is bounded by training."""
LARGEST_EXPONENT = 11
"""exp(11) is below the largest float16, and exp(12) above."""
_BOUNDED_BELOW = ("pow", "square", "abs", "norm", "cdist", "relu", "softplus", "mse_loss", "sum")


def half_arithmetic(facts: Facts) -> Iterator[CodeFinding]:
    """Yield arithmetic whose operands are known to be half, and that half precision breaks.

    Places in one function that break in the same way are one finding.
    """
    return found_in_half(facts, PATTERNS, _MAY_BREAK)


def lost_epsilon(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``x + 1e-8`` in a divisor or below a logarithm: in float16 the sum is ``x``."""
    guarded = _guarded(node) if context.overflows else None
    for value, epsilon in (pair for each in _parts(guarded, place) for pair in _sums(each)):
        constants = contexts.tensors.values.of(epsilon, place)
        is_lost = all(isinstance(each, float) and 0 < each <= SMALLEST_FLOAT16 / 2 for each in constants)
        if is_lost and kind_of(contexts, context, value, place) is Kind.HALF:
            return arithmetic_finding(
                node,
                place,
                f"{build.code(epsilon)} is zero in float16, so {build.code(value)} is not kept away from zero",
                (
                    context.why,
                    f"the smallest float16 is {SMALLEST_FLOAT16:.1e}, and half of it and less is rounded to zero",
                ),
                f"Take the value to float32 first: {_short(value)}.float(), or use a larger constant (1e-6).",
            )
    return None


def _short(value: ast.expr) -> str:
    return build.code(value) if isinstance(value, ast.Name | ast.Attribute) else "x"


def _guarded(node: ast.AST) -> ast.expr | None:
    """Return what must not be zero: a divisor, or what a logarithm or root is taken of."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return node.right
    if is_call_of(node, *_TAKES_EPSILON) and isinstance(node, ast.Call):
        return operand(node)
    return None


def _parts(guarded: ast.expr | None, place: Place) -> Iterator[ast.expr]:
    """Yield what must not be zero, through local names; of a quotient below a logarithm both sides must not be."""
    value = value_at(guarded, place)[0] if guarded is not None else None
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        yield from (value_at(side, place)[0] for side in (value.left, value.right))
    elif value is not None:
        yield value


def _sums(guarded: ast.expr | None) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the value and the constant of ``x + eps``, in both orders, and of ``x.clamp(min=eps)``."""
    match guarded:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield left, right
            yield right, left
        case ast.Call(func=ast.Attribute(value=value, attr="clamp" | "clamp_min" | "clip"), args=args):
            limits = [keyword.value for keyword in guarded.keywords if keyword.arg == "min"] or args[:1]
            yield from ((value, limit) for limit in limits)


def log_of_sigmoid(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``log(sigmoid(x))`` of half values: the sigmoid is exactly 0 or 1 early."""
    inner = operand(node) if isinstance(node, ast.Call) and is_call_of(node, "log") else None
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add | ast.Sub | ast.Mult):
        sides = [value_at(side, place)[0] for side in (inner.left, inner.right)]
        inner = next((side for side in sides if is_call_of(side, "sigmoid")), None)
    if inner is not None:
        inner, _ = value_at(inner, place)
    if not isinstance(inner, ast.Call) or not is_call_of(inner, "sigmoid"):
        return None
    kind = kind_of(contexts, context, operand(inner), place)
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    # A model that is half as a whole gives half values, unless something takes them to float32.
    if kind is not Kind.HALF and not (mode is Mode.HALF_MODEL and kind is Kind.UNKNOWN):
        return None
    dtypes = dtype_names(context.dtypes)
    return arithmetic_finding(
        node,
        place,
        f"the sigmoid of {dtypes} values is exactly 0 or 1 early, and its logarithm is then -inf or 0 without gradient",
        (context.why, "sigmoid is on none of autocast's lists: it is computed in the dtype of its input"),
        "Use torch.nn.functional.logsigmoid(x.float()).",
    )


def squeezed_product(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a matrix product of exponentials: autocast takes them back to float16."""
    operands = _of_product(node) if context.overflows else []
    if not operands or contexts.tensors.mode_at(place, context.tensors.mode) is not Mode.AUTOCAST:
        return None
    for value in operands:
        for factor in factors(value, place):
            if isinstance(factor, ast.Call) and _is_unbounded_exponential(factor):
                return arithmetic_finding(
                    node,
                    place,
                    f"{build.code(factor)} is float32, and this matrix product takes it back to float16: "
                    "above 65504 it is inf",
                    (context.why, "autocast computes exp in float32 and matrix products in float16"),
                    "Turn autocast off around the product (enabled=False), and give it .float() operands.",
                )
    return None


def _of_product(node: ast.AST) -> list[ast.expr]:
    """Return the operands of a matrix product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return [node.left, node.right]
    if not isinstance(node, ast.Call) or last_name(node.func) not in MATRIX_PRODUCTS:
        return []
    first = operand(node)
    return [each for each in (first, *node.args) if each is not None and not isinstance(each, ast.Constant)]


def _is_unbounded_exponential(call: ast.Call) -> bool:
    """Return whether a call is an exponential whose argument nothing keeps below 11."""
    argument = operand(call) if last_name(call.func) in ("exp", "expm1") else None
    is_scale = isinstance(argument, ast.Name | ast.Attribute | ast.Call)
    if argument is None or (is_scale and _SCALES.search(ast.unparse(argument))):
        return False
    calls = {last_name(inner.func) for inner in ast.walk(argument) if isinstance(inner, ast.Call)}
    if calls & {"max", "amax", "logsumexp", "clamp", "clip", "log_softmax", "tanh", "sigmoid", "log"}:
        return False
    is_negative = isinstance(argument, ast.UnaryOp) and isinstance(argument.op, ast.USub)
    is_square = any(square_of(inner) is not None for inner in ast.walk(argument))
    return not (is_negative and (is_square or calls & set(_BOUNDED_BELOW)))


def cancelling_variance(
    contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place
) -> CodeFinding | None:
    """Return the finding about ``mean(x * x) - mean(x) * mean(x)`` of half values: their difference has few bits."""
    match node:
        case ast.BinOp(left=ast.Call() as mean, op=ast.Sub(), right=ast.BinOp() as product):
            averaged = operand(mean)
            is_moment = isinstance(averaged, ast.BinOp) and isinstance(averaged.op, ast.Mult | ast.Pow)
            if not is_moment or not _multiplies_means(product, ast.unparse(mean.func), place):
                return None
        case _:
            return None
    if kind_of(contexts, context, mean, place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"this variance is the difference of two {dtype_names(context.dtypes)} values that are close to each other",
        (context.why, "float16 keeps 11 bits and bfloat16 8: what is left after the subtraction is mostly rounding"),
        "Compute it in float32: turn autocast off here (enabled=False), and give it .float() inputs.",
    )


def _multiplies_means(product: ast.BinOp, mean: str, place: Place) -> bool:
    """Return whether an expression is the product of two values that the same function averaged, or a square of one."""
    sides = [product.left, product.right] if isinstance(product.op, ast.Mult) else [product.left]
    if not isinstance(product.op, ast.Mult | ast.Pow):
        return False
    made = [_assigned_call(side, place) for side in sides]
    return all(call is not None and ast.unparse(call.func) == mean for call in made)


def _assigned_call(value: ast.expr, place: Place) -> ast.Call | None:
    if isinstance(value, ast.Call):
        return value
    assigned = place.function.names.get(value.id, []) if isinstance(value, ast.Name) else []
    only = assigned[0][0] if len(assigned) == 1 else None
    return only if isinstance(only, ast.Call) else None


def overflowing_sum(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about the sum of all elements of a float16 tensor outside of any region."""
    is_whole = isinstance(node, ast.Call) and is_call_of(node, "sum") and not node.keywords and len(node.args) <= 1
    value = operand(node) if is_whole and isinstance(node, ast.Call) and context.overflows else None
    if value is None or (isinstance(node, ast.Call) and value is not (node.args or [value])[0]):
        return None
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    if mode is Mode.AUTOCAST or kind_of(contexts, context, value, place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"{build.code(node)} is a float16 number: the sum of many losses is inf above 65504",
        (context.why, "inside a region autocast would compute sum in float32; here nothing does"),
        "Take the values to float32 first, or divide before the sum.",
    )


def norm_by_hand(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about the mean of squares in a norm by hand, outside of any region."""
    averaged = operand(node) if isinstance(node, ast.Call) and is_call_of(node, "mean") else None
    base = square_of(averaged)
    if base is None or not _is_of_norm(place):
        return None
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    if mode is Mode.AUTOCAST or kind_of(contexts, context, base, place) is not Kind.HALF:
        return None
    effect = "and overflows float16 above |x| = 255" if context.overflows else "which keeps 8 bits of it"
    return arithmetic_finding(
        node,
        place,
        f"{build.code(node)} is evaluated in {dtype_names(context.dtypes)}, {effect}",
        (context.why, "nn.LayerNorm and nn.RMSNorm accumulate in float32, and a norm by hand does not"),
        "Take the input to float32 first, and the result back at the end.",
    )


def _is_of_norm(place: Place) -> bool:
    """Return whether a function is a norm: by its name, that of its class, or because it divides by a root."""
    cls = place.function.cls
    has_name = "norm" in f"{cls.name if cls is not None else ''}{place.function.name}".lower()
    return has_name or any(call.name in ("rsqrt", "sqrt") for call in place.module.calls_in(place.function))


def overflowing_exponential(
    contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place
) -> CodeFinding | None:
    """Return the finding about the exponential of a float16 similarity outside of any region: above 11 it is inf."""
    if not isinstance(node, ast.Call) or not context.overflows or not _is_unbounded_exponential(node):
        return None
    argument, at = value_at(node.args[0], place) if node.args else (operand(node), place)
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    if mode is Mode.AUTOCAST or not _is_scaled_product(contexts, argument, at):
        return None
    if kind_of(contexts, context, operand(node), place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"{build.code(node)} is inf in float16 where its argument is above {LARGEST_EXPONENT}",
        (context.why, "inside a region autocast would compute exp in float32; here nothing does"),
        "Take the argument to float32 first, or use log_softmax or logsumexp, which subtract the maximum.",
    )


def _is_scaled_product(contexts: HalfContexts, argument: ast.expr | None, place: Place) -> bool:
    """Return whether an expression is a matrix product, as it is or scaled: ``a @ b.T / temperature``."""
    match argument:
        case ast.BinOp(left=left, op=ast.Div() | ast.Mult(), right=right):
            return any(_is_scaled_product(contexts, *value_at(side, place)) for side in (left, right))
        case ast.BinOp(op=ast.MatMult()):
            return True
        case ast.Call():
            callee = contexts.tensors.callees.of(Call(argument, place))
            returned = [each for each, _ in callee.returned] if callee is not None else [argument]
            return bool(returned) and all(_is_product(each) for each in returned)
    return False


def _is_product(value: ast.expr) -> bool:
    is_operator = isinstance(value, ast.BinOp) and isinstance(value.op, ast.MatMult)
    return is_operator or (isinstance(value, ast.Call) and last_name(value.func) in MATRIX_PRODUCTS)


def half_probability(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a half sigmoid that a binary cross entropy takes to float32 afterwards."""
    value = operand(node) if isinstance(node, ast.Call) and is_call_of(node, "sigmoid") and context.overflows else None
    is_trained = any(wanted and ast.unparse(condition) == "self.training" for condition, wanted in place.conditions)
    if value is None or not is_trained or not contexts.takes_probabilities(contexts.code.unit_of(place.module)):
        return None
    mode = contexts.tensors.mode_at(place, context.tensors.mode)
    if mode is not Mode.AUTOCAST or kind_of(contexts, context, value, place) is Kind.FLOAT32:
        return None
    return arithmetic_finding(
        node,
        place,
        "the sigmoid is taken in float16, and the loss casts to float32 afterwards: above 8.3 it is exactly 1",
        (context.why, "the gradient of binary_cross_entropy at 1 is up to 1e12, which is inf in float16"),
        "Take the sigmoid of x.float(), or give the logits to binary_cross_entropy_with_logits.",
    )


PATTERNS: tuple[Pattern, ...] = (
    *(lost_epsilon, log_of_sigmoid, squeezed_product, cancelling_variance, overflowing_sum),
    *(norm_by_hand, overflowing_exponential, half_probability),
    *LIMITS,
)
