"""Half-precision values that reach what takes only float32: linear algebra, spectra, numpy, and float32 layers."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.expressions import is_call_of, operand
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, is_torch_layer
from vc2doctor.linter.detectors.half_pattern import Pattern, kind_of
from vc2doctor.linter.detectors.half_programs import found_in_half
from vc2doctor.linter.knowledge.autocast_ops import FLOAT32_ONLY, NO_BFLOAT16
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Place

_MAY_BE_REFUSED = re.compile(r"linalg|invers|\bsvd|\bqr\(|cholesky|det\(|quantile|fft|numpy\(|Linear|Conv")
"""What all patterns have in the text. A module without it is not searched."""
_ONE_DTYPE = ("Linear", "Conv1d", "Conv2d", "Conv3d", "Bilinear")
"""Layers whose input and weights must have one dtype."""
_OPS_URL = f"{build.AMP_URL}#cuda-op-specific-behavior"


def refused_values(facts: Facts) -> Iterator[CodeFinding]:
    """Yield operations and layers that raise for the half-precision values which training gives them."""
    patterns: list[Pattern] = [refused_operation, refused_by_numpy]
    if not _casts_modules(facts):
        patterns.append(float32_layer)
    return found_in_half(facts, patterns, _MAY_BE_REFUSED)


def _casts_modules(facts: Facts) -> bool:
    """Return whether some module has half weights, so that a layer can be half although its class does not show it."""
    casts = any(cast.is_of_module or cast.name == "self" for cast in facts.weights.casts)
    return (
        casts
        or any(load.dtypes & HALF_DTYPES for load in facts.weights.loads)
        or "set_default_dtype" in {call.name for module in facts.code.files.modules.values() for call in module.calls}
    )


def refused_operation(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``torch.linalg.inv(half)``: torch has no kernel for it, and autocast does not cast."""
    if not isinstance(node, ast.Call):
        return None
    call = Call(node, place)
    is_of_spectrum = place.module.dotted(node.func).startswith("torch.fft.") or call.name == "stft"
    is_refused = call.name in FLOAT32_ONLY or (
        is_of_spectrum and call.name in NO_BFLOAT16 and context.dtypes == {BFLOAT16}
    )
    if not is_refused or contexts.tensors.callees.of(call) is not None:
        return None
    if kind_of(contexts, context, operand(node), place) is not Kind.HALF:
        return None
    return _refused(
        node,
        place,
        f"{call.name} raises for {dtype_names(context.dtypes)} values",
        (context.why, "torch has no kernel of it for half precision (measured), and autocast does not cast its input"),
        "Turn autocast off around it (enabled=False), and give it x.float().",
    )


def refused_by_numpy(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``bfloat16.numpy()``: numpy has no such dtype."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="numpy"), args=[]) if context.dtypes == {BFLOAT16}:
            is_float16 = any(is_call_of(each, "half") for each in ast.walk(value))
            if is_float16 or kind_of(contexts, context, value, place) is not Kind.HALF:
                return None
        case _:
            return None
    return _refused(
        node,
        place,
        "numpy() raises for bfloat16 values: numpy has no such dtype",
        (context.why, "measured: TypeError: Got unsupported ScalarType BFloat16"),
        "Write .float() before .numpy().",
    )


def float32_layer(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a layer with float32 weights that gets half values outside of any region."""
    if not isinstance(node, ast.Call) or not node.args or not _is_only_plain(contexts, place):
        return None
    if contexts.tensors.mode_at(place, context.tensors.mode) is not Mode.PLAIN:
        return None
    objects = contexts.tensors.objects
    if any(_may_cast(call) for call in objects.of(node.func, place).calls()):
        return None
    made = list(objects.makers(node.func, place))
    is_layer = bool(made) and all(is_torch_layer(call) and _needs_one_dtype(call) for call in made)
    if not is_layer or kind_of(contexts, context, node.args[0], place) is not Kind.HALF:
        return None
    return _refused(
        node,
        place,
        f"{build.code(node.func)} has float32 weights and gets {dtype_names(context.dtypes)} values outside of any "
        "region, which raises",
        (context.why, "measured: RuntimeError: mat1 and mat2 must have the same dtype"),
        "Move the layer into the region, or give it x.float().",
    )


def _may_cast(call: Call) -> bool:
    """Return whether a method of a layer may change the dtype of its weights: ``nn.Linear(3, 3).to(dtype)``."""
    text = ast.unparse(call.node.func) if isinstance(call.node.func, ast.Attribute) else ""
    is_device = all("device" in ast.unparse(each) or "cuda" in ast.unparse(each) for each in call.node.args)
    return text.endswith((".half", ".bfloat16", ".type")) or (text.endswith(".to") and not is_device)


def _needs_one_dtype(layer: Call) -> bool:
    """Return whether a layer, or the first one of a sequence, has weights that must have the dtype of its input."""
    if layer.name == "Sequential" and layer.node.args and isinstance(layer.node.args[0], ast.Call):
        return _needs_one_dtype(Call(layer.node.args[0], layer.place))
    return layer.name in _ONE_DTYPE and layer.argument("dtype") is None


def _is_only_plain(contexts: HalfContexts, place: Place) -> bool:
    """Return whether training runs a function only outside of regions and beside float32 weights."""
    return all(each.tensors.mode is Mode.PLAIN for each in contexts.of(place.function))


def _refused(node: ast.AST, place: Place, message: str, evidence: tuple[str, ...], remedy: str) -> CodeFinding:
    return build.at_node(
        place.module,
        node,
        "VC107",
        Severity.WARNING,
        message,
        evidence=evidence,
        remedy=remedy,
        url=_OPS_URL,
        role="cast",
    )
