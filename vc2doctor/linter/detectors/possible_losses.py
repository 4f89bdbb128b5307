"""Patterns of hand-written losses that half precision may break where no region takes them to float32.

A policy loss is made of ratios of probabilities, a focal loss of ``1 - p``, and a mean over tokens of a count. Autocast
would compute their exponentials and sums in float32; under DeepSpeed's engine, and with half weights, nothing does.
"""

import ast
import re

from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.expressions import operand, value_at
from vc2doctor.linter.analyse.float32_casts import is_of_float32, mentions_float32
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_losses import logits_of
from vc2doctor.linter.detectors.half_pattern import arithmetic_finding, kind_of
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Assigned, Call, Place, last_name
from vc2doctor.linter.read.syntax import walk

LOSSES = ("log_softmax", "cross_entropy", "logsigmoid")
_LOG_PROBABILITIES = re.compile(r"log_?ratio|log_?prob|logps?\b|log_pt?\b")
_FLOAT16_TEST = re.compile(r"dtype\b.*(float16|half)")
_FLOAT32_LOGARITHM = re.compile(
    r"log_softmax\([^\n]*(float\(\)|float32)|logits[^\n]{0,40}\.(float\(\)|to\((dtype=)?torch\.float32\))"
    r"|\.float\(\)\.log_"
)
"""How programs compute log-probabilities in float32, whatever they then do with them."""
_OPTION = re.compile(r"fp32|float32|float")
"""What an option is called that takes a loss to float32."""
_MASKS = frozenset({"mask", "masks"})
_DTYPE_OF_MODEL = re.compile(r"(policy|model|weight|compute|torch|param)_dtype$")
_RAISED = frozenset({"pt", "prob", "probs", "p_t", "probability", "probabilities"})


def conditional_cast(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a loss whose logits are cast to float32 under a condition that may not hold."""
    if not isinstance(node, ast.Call) or not _is_without_region(contexts, context, place):
        return None
    call = Call(node, place)
    value = logits_of(contexts.facts, call)
    if value is None or call.argument("dtype") is not None or not is_of_float32(call, value):
        return None
    condition = _condition_of_cast(contexts, call, value)
    if condition is None:
        return None
    is_of_dtype = _FLOAT16_TEST.search(condition) is not None
    if is_of_dtype and BFLOAT16 not in context.dtypes:
        return None
    dtypes = frozenset([BFLOAT16]) if is_of_dtype else context.dtypes
    return arithmetic_finding(
        node,
        place,
        f"{call.name} is computed in {dtype_names(dtypes)}: its input is cast to float32 only if {condition}",
        (context.why, "no region is around it, in which autocast would compute it in float32"),
        "Cast to float32 whatever the dtype is: logits.float().",
    )


def _condition_of_cast(contexts: HalfContexts, call: Call, value: ast.expr) -> str | None:
    """Return the condition under which alone a value is cast to float32; ``None``: it is cast in any case.

    The condition asks for float16, or is an option about float32 that no run is known to turn on.
    """
    found: list[str] = []
    for source, place in _sources(value, call.place):
        if not mentions_float32(source):
            continue
        choice = next((each for each in walk(source) if isinstance(each, ast.IfExp)), None)
        outer = set(map(id, (test for test, _ in call.place.conditions)))
        own = [(test, wanted) for test, wanted in place.conditions if id(test) not in outer]
        if choice is not None and mentions_float32(choice.body) and not mentions_float32(choice.orelse):
            test: ast.expr = choice.test
        elif own and own[-1][1]:
            test = own[-1][0]
        else:
            return None
        text = ast.unparse(test)
        is_dtype = _FLOAT16_TEST.search(text) is not None and "!=" not in text and "bfloat16" not in text
        is_option = _OPTION.search(text) is not None and contexts.facts.values.truth(test, place) is not True
        if not is_dtype and not (is_option and "dtype" not in text):
            return None
        found.append(text)
    return found[0] if found else None


def _sources(value: ast.expr, place: Place) -> list[Assigned]:
    """Return a value and what its names are assigned, in the same function."""
    names = {node.id for node in walk(value) if isinstance(node, ast.Name)}
    assigned = (each for name in names for each in place.function.names.get(name, []))
    return [(value, place), *assigned]


def half_ratio(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``exp(a - b)`` of half log-probabilities: a ratio near 1, or a divergence near 0."""
    if not isinstance(node, ast.Call) or not _is_without_region(contexts, context, place):
        return None
    given = operand(node)
    difference, at = value_at(given, place) if given is not None else (None, place)
    if not isinstance(difference, ast.BinOp) or not isinstance(difference.op, ast.Sub):
        return None
    sides = (difference.left, difference.right)
    if not all(_LOG_PROBABILITIES.search(ast.unparse(side)) for side in sides) or any(map(mentions_float32, sides)):
        return None
    if any(kind_of(contexts, context, side, at) is Kind.FLOAT32 for side in sides):
        return None
    if not any(_is_half_logarithm(contexts, context, side, at) for side in sides):
        return None
    bits = 8 if BFLOAT16 in context.dtypes else 11
    return arithmetic_finding(
        node,
        place,
        f"this ratio of probabilities is computed in {dtype_names(context.dtypes)}: log-probabilities keep {bits} "
        "bits, so ratios near 1 and divergences near 0 are rounding",
        (context.why, "no region is around it, in which autocast would compute the logarithm in float32"),
        "Take the logits to float32 before their logarithm: logits.float().",
    )


def _is_half_logarithm(contexts: HalfContexts, context: HalfContext, value: ast.expr, place: Place) -> bool:
    """Return whether log-probabilities are half: known so, or made here by a logarithm without a cast."""
    kind = kind_of(contexts, context, value, place)
    if isinstance(value, ast.Name) and value.id in place.function.parameters():
        # Only its name says so, and the program may compute it in float32.
        modules = contexts.code.unit_of(place.module).modules
        return kind is Kind.HALF and not any(_FLOAT32_LOGARITHM.search(each.source.text) for each in modules)
    if kind is not Kind.UNKNOWN:
        return kind is Kind.HALF
    source, at = value_at(value, place)
    for call in (each for each in walk(source) if isinstance(each, ast.Call)):
        callee = contexts.tensors.callees.of(Call(call, at))
        searched: ast.AST = callee.node if callee is not None else call
        is_made = any(isinstance(each, ast.Call) and _is_logarithm(each) for each in walk(searched))
        if is_made:
            is_cast = is_of_float32(Call(call, at), source)
            return not is_cast and not any(_is_float32(each) for each in walk(searched))
    return False


def _is_logarithm(call: ast.Call) -> bool:
    return last_name(call.func) in LOSSES or "log_softmax" in last_name(call.func)


def _is_float32(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("float", "float32")


def focal_remainder(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``1 - pt`` of a focal loss on half probabilities: it is 0 for confident samples."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.left, ast.Constant) or node.left.value not in (1, 1.0):
        return None
    named = f"{place.function.name} {place.function.cls.name if place.function.cls is not None else ''}".lower()
    is_probability = isinstance(node.right, ast.Name) and (
        bool(words(node.right.id) & _RAISED) or node.right.id in _RAISED
    )
    if "focal" not in named or not is_probability or not _is_without_region(contexts, context, place):
        return None
    if kind_of(contexts, context, node.right, place) is not Kind.HALF:
        return None
    below = "0.998" if context.dtypes == {BFLOAT16} else "0.9998"
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(node)} of this focal loss is {dtype_names(context.dtypes)}, and 0 for probabilities above "
        f"{below}",
        (context.why, "no region is around it, in which autocast would compute the probability in float32"),
        "Take the logits to float32 first: logits.float().",
    )


def rounded_count(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a number of tokens in half precision, by which a loss is divided."""
    if not isinstance(node, ast.Call) or not node.args or not _is_without_region(contexts, context, place):
        return None
    argument = node.args[0]
    receiver = operand(node)
    if not isinstance(argument, ast.Attribute) or receiver is None or not argument.attr.endswith("dtype"):
        return None
    if not _counts(receiver, place) or not _is_half_dtype(contexts, context, argument, place):
        return None
    limit = 256 if BFLOAT16 in context.dtypes else 2048
    return arithmetic_finding(
        node,
        place,
        f"the number of tokens is {dtype_names(context.dtypes)}, and is rounded above {limit}",
        (context.why, "a sum of half values outside of a region is half"),
        "Sum the mask in float32, and divide in float32.",
    )


def _is_half_dtype(contexts: HalfContexts, context: HalfContext, dtype: ast.Attribute, place: Place) -> bool:
    """Return whether a dtype is that of a half value, or of the model: ``logps.dtype``, ``self.policy_dtype``."""
    if dtype.attr == "dtype":
        kind = kind_of(contexts, context, dtype.value, place)
        return kind is Kind.HALF or (kind is Kind.UNKNOWN and _is_half_logarithm(contexts, context, dtype.value, place))
    return _DTYPE_OF_MODEL.search(dtype.attr) is not None and context.tensors.mode is Mode.HALF_MODEL


def _counts(receiver: ast.expr, place: Place) -> bool:
    """Return whether a value is a sum over a mask, or a mask whose sum the function takes."""
    value, _ = value_at(receiver, place)
    names = {each.id for each in walk(receiver) if isinstance(each, ast.Name)}
    assigned = (each for name in names for each, _ in place.function.names.get(name, []))
    if any(map(_is_sum_of_mask, (*walk(value), *assigned))):
        return True
    masks = {target.id for target in place.targets if isinstance(target, ast.Name) and words(target.id) & _MASKS}
    calls = [call.node for call in place.module.calls_in(place.function)]
    receivers = (operand(call) for call in calls if last_name(call.func) == "sum")
    # `masked_mean(losses, mask)` divides by the sum, too.
    given = (each for call in calls if "masked_mean" in last_name(call.func) for each in call.args)
    return any(isinstance(each, ast.Name) and each.id in masks for each in (*receivers, *given))


def _is_sum_of_mask(node: ast.AST) -> bool:
    is_sum = isinstance(node, ast.Call) and last_name(node.func) == "sum"
    return is_sum and any(isinstance(each, ast.Name) and bool(words(each.id) & _MASKS) for each in walk(node))


def _is_without_region(contexts: HalfContexts, context: HalfContext, place: Place) -> bool:
    return contexts.tensors.mode_at(place, context.tensors.mode) is not Mode.AUTOCAST
