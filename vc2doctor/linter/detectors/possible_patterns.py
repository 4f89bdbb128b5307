"""Patterns of arithmetic that half precision may break, beside those that a proved dtype is needed for."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16
from vc2doctor.linter.analyse.expressions import is_call_of, operand, square_of, value_at
from vc2doctor.linter.analyse.float32_casts import is_of_float32, mentions_float32
from vc2doctor.linter.analyse.half_contexts import HalfContext, HalfContexts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_losses import is_on_half, logits_of
from vc2doctor.linter.detectors.half_pattern import arithmetic_finding, kind_of
from vc2doctor.linter.knowledge.autocast_ops import MATRIX_PRODUCTS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class, Function, Place, last_name
from vc2doctor.linter.read.syntax import walk

SPECTRA = ("rfft", "irfft", "fft", "ifft", "rfft2", "irfft2", "fft2", "ifft2", "rfftn", "irfftn", "fftn", "stft")
DIVERGENCES = ("kl_div", "binary_cross_entropy_with_logits", "mse_loss", "huber_loss", "smooth_l1_loss")
OF_ONE_DTYPE = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
"""Losses whose target must have the dtype of their input."""
_RESULTS = frozenset({"logits", "logit", "output", "outputs", "out", "pred", "preds"})
_GEOMETRY = frozenset(
    {
        *("inv", "pose", "poses", "intrinsic", "intrinsics", "extrinsic", "extrinsics", "world", "cam", "camera"),
        *("points", "pts", "coords", "rotation", "rotations", "homography", "homo", "projection", "rays", "xyz"),
    }
)
"""Words of matrices and points of cameras, whose products need more than 11 bits."""
_BINS = frozenset({"bins", "support", "supports", "atoms"})
"""Words of the values that a distribution over bins stands for."""
_POINTS = re.compile(r"\b(x_?[23]d|xyz|pts|points|coords|pix)")
MAX_CALLERS = 2
"""Functions between a method of a module and a function that multiplies poses and points."""
_OF_CAMERAS = _GEOMETRY | {"k", "p", "t", "xy"}
_LABELS = frozenset({"target", "targets", "label", "labels", "gt"})
_TEMPERATURES = frozenset({"temperature", "temp", "tau"})
SCATTERS = frozenset(
    {"scatter_mean", "scatter_sum", "scatter_add", "scatter_add_", "index_add", "index_add_", "scatter"}
)
_FREQUENCIES = frozenset({"omega", "freq", "freqs", "frequencies", "theta", "div", "timescale"})
"""Words of the frequencies of a position embedding."""
_CASTS = frozenset({"float", "float32", "double"})


def half_loss(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a loss on half values where autocast does not lift it to float32."""
    if not isinstance(node, ast.Call) or _mode(contexts, context, place) is Mode.AUTOCAST:
        return None
    call = Call(node, place)
    is_divergence = call.name in (*DIVERGENCES, *OF_ONE_DTYPE) and len(node.args) > 1
    value = node.args[0] if is_divergence else _logits(contexts, call)
    if value is None or call.argument("dtype") is not None or is_of_float32(call, value):
        return None
    if not is_divergence and not is_on_half(contexts.facts, call):
        return None
    values = node.args[:2] if is_divergence and call.name not in OF_ONE_DTYPE else [value]
    if not all(_may_be_half(contexts, context, each, place) for each in values):
        return None
    return arithmetic_finding(
        node,
        place,
        f"{call.name} is computed in {dtype_names(context.dtypes)}, which rounds close logits and small losses",
        (context.why, "no region is around it, in which autocast would compute it in float32"),
        "Take its inputs to float32 first: logits.float().",
    )


def _may_be_half(contexts: HalfContexts, context: HalfContext, value: ast.expr, place: Place) -> bool:
    """Return whether a value is half, or what a model that is half as a whole computes in a way that is not read."""
    kind = kind_of(contexts, context, value, place)
    if kind is not Kind.UNKNOWN or context.tensors.mode is not Mode.HALF_MODEL:
        return kind is Kind.HALF
    cls, named = place.function.cls, _words_of(value)
    is_of_model = (
        (cls is not None and "forward" in cls.methods) or bool(named & _RESULTS) or _is_made_by_model(value, place)
    )
    return is_of_model and not named & _LABELS and not _casts_in(place)


def _is_made_by_model(value: ast.expr, place: Place) -> bool:
    """Return whether all names of a value hold what a model gave: ``model(**inputs)[0]``."""
    names = {node.id for node in walk(value) if isinstance(node, ast.Name)}
    assigned = [place.function.names.get(name, []) for name in names]
    made = (each.value if isinstance(each, ast.Subscript) else each for found in assigned for each, _ in found)
    return all(assigned) and all(isinstance(each, ast.Call) and last_name(each.func) == "model" for each in made)


def _logits(contexts: HalfContexts, call: Call) -> ast.expr | None:
    if call.name == "exp":
        return None
    return logits_of(contexts.facts, call)


def half_spectrum(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a Fourier transform of float16 values."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in SPECTRA:
        return None
    if not place.module.dotted(node.func).startswith(("torch.fft.", "torch.stft")):
        return None
    if kind_of(contexts, context, operand(node), place) is not Kind.HALF:
        return None
    effect = "takes only lengths that are powers of two in float16, and its sums overflow at 65504"
    if context.dtypes == {BFLOAT16}:
        effect = "raises for bfloat16"
    return arithmetic_finding(
        node,
        place,
        f"{last_name(node.func)} {effect}",
        (context.why, "autocast does not cast the input of torch.fft"),
        "Turn autocast off around it (enabled=False), and give it x.float().",
    )


def camera_product(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a matrix product of poses and points in a region, which takes them to half."""
    operands, cls = _operands(node), place.function.cls
    # Functions outside of classes often prepare the data, and do so outside of the region.
    is_part = cls is not None and "forward" in cls.methods
    if cls is None and operands and _mode(contexts, context, place) is Mode.AUTOCAST:
        is_part = _is_called_in_modules(contexts, place.function)
    if not operands or not is_part or _mode(contexts, context, place) is not Mode.AUTOCAST:
        return None
    named = [_words_of(each) for each in operands]
    is_of_bins = any(each & _BINS for each in named)
    is_of_camera = any(each & _GEOMETRY for each in named) and all(each & _OF_CAMERAS for each in named)
    is_of_camera = is_of_camera or _is_intrinsic(operands[0], operands[1])
    if not is_of_bins and not is_of_camera:
        return None
    subject = "bin values" if is_of_bins else "coordinates"
    bits = 8 if context.dtypes == {BFLOAT16} else 11
    return arithmetic_finding(
        node,
        place,
        f"autocast computes this product of {subject} in {dtype_names(context.dtypes)}, with {bits} bits, "
        "although its operands are float32",
        (context.why, "autocast takes the operands of matrix products to half precision"),
        "Turn autocast off around it (enabled=False).",
    )


def _is_intrinsic(left: ast.expr, right: ast.expr) -> bool:
    """Return whether a product is of the intrinsics of a camera and points: ``K[:, :3, :3] @ x3d``."""
    matrix = left.value if isinstance(left, ast.Subscript) else left
    return last_name(matrix) in ("K", "intrinsics") and _POINTS.search(ast.unparse(right)) is not None


def _is_called_in_modules(contexts: HalfContexts, function: Function, hops: int = 0) -> bool:
    """Return whether methods of torch modules alone lead to a function, so that it runs where their region is."""
    callers = {call.place.function for call in contexts.code.callers(function)} - {function}
    return bool(callers) and all(
        "forward" in caller.cls.methods
        if caller.cls is not None
        else hops < MAX_CALLERS and _is_called_in_modules(contexts, caller, hops + 1)
        for caller in callers
    )


def _operands(node: ast.AST) -> list[ast.expr]:
    """Return the two operands of a matrix product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return [node.left, node.right]
    if not isinstance(node, ast.Call) or last_name(node.func) not in MATRIX_PRODUCTS - {"einsum"}:
        return []
    first = operand(node)
    rest = [each for each in node.args if each is not first]
    return [first, rest[0]] if first is not None and rest else []


def _words_of(node: ast.expr) -> set[str]:
    named = (inner for inner in walk(node) if isinstance(inner, ast.Name | ast.Attribute))
    return {word for inner in named for word in words(last_name(inner))}


def enlarged_similarity(
    contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place
) -> CodeFinding | None:
    """Return the finding about bfloat16 similarities that a temperature enlarges: their steps grow with it."""
    scaled = _scaled(node) if BFLOAT16 in context.dtypes else None
    if scaled is None or mentions_float32(scaled[0]):
        return None
    value, at = value_at(scaled[0], place)
    is_similarity = bool(_operands(value)) or is_call_of(value, "einsum", "cosine_similarity", "CosineSimilarity")
    if not is_similarity or kind_of(contexts, context, value, at) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"similarities in bfloat16 have steps of 0.004 near 1, and {ast.unparse(scaled[1])} enlarges them before the "
        "loss",
        (context.why, "bfloat16 keeps 8 bits"),
        "Compute the product in float32: turn autocast off around it, and give it .float() operands.",
    )


def _scaled(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Return similarities, and what enlarges them: ``a @ b.T / temperature``, ``logit_scale * a @ b.T``."""
    match node:
        case ast.BinOp(left=ast.BinOp(left=left, op=ast.Mult(), right=right), op=ast.MatMult()):
            scale = next((each for each in (left, right) if _is_logit_scale(each)), None)
            return (node, scale) if scale is not None else None
        case ast.BinOp(left=left, op=ast.Div(), right=right) if _is_temperature(right):
            return left, right
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if _is_logit_scale(right):
            return left, right
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if _is_logit_scale(left):
            return right, left
    return None


def _is_temperature(node: ast.expr) -> bool:
    return bool(_words_of(node) & _TEMPERATURES)


def _is_logit_scale(node: ast.expr) -> bool:
    named = _words_of(node)
    return {"logit", "scale"} <= named or bool(named & {"temperature"})


def scattered_sum(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about sums over groups in half precision: autocast does not know these operations."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in SCATTERS:
        return None
    is_library = place.module.dotted(node.func).startswith("torch_scatter.")
    values = [operand(node)] if is_library else list(node.args[-1:])
    if not values or any(kind_of(contexts, context, each, place) is not Kind.HALF for each in values):
        return None
    return arithmetic_finding(
        node,
        place,
        f"{last_name(node.func)} sums in {dtype_names(context.dtypes)}: each addition is rounded",
        (context.why, "autocast computes sum in float32, and not this operation"),
        "Take the values to float32 first, and the result back.",
    )


def half_angle(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about the sine of positions times frequencies in a model that is half as a whole."""
    if not is_call_of(node, "sin", "cos") or not isinstance(node, ast.Call):
        return None
    if _mode(contexts, context, place) is not Mode.HALF_MODEL or _casts_in(place):
        return None
    cls = place.function.cls
    buffers = _buffers_of(cls) if cls is not None else set()
    read = {each.attr for each in _nodes(place) if isinstance(each, ast.Attribute) and last_name(each.value) == "self"}
    if not any(words(name) & _FREQUENCIES for name in read & buffers):
        return None
    return arithmetic_finding(
        node,
        place,
        f"the angles are {dtype_names(context.dtypes)} if the frequencies are a buffer of a half model: "
        "far positions are rounded to the same angle",
        (context.why, "casting a model casts its buffers"),
        "Compute positions, frequencies and angles in float32, and cast the sine and the cosine.",
    )


def _buffers_of(cls: Class) -> set[str]:
    """Return the names of the buffers that a class registers."""
    calls = (call for method in cls.methods.values() for call in cls.module.calls_in(method))
    named = (call.node.args[0] for call in calls if call.name == "register_buffer" and call.node.args)
    return {each.value for each in named if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def half_dice(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a dice loss on half masks: it sums whole images outside of any region."""
    if not isinstance(node, ast.Call) or _mode(contexts, context, place) is Mode.AUTOCAST:
        return None
    is_sum = last_name(node.func) == "sum" and "dice" in words(f"{place.function.name} {_class_name(place)}")
    first = operand(node) if is_sum else next(iter(node.args), None)
    if first is None or (not is_sum and not {"dice", "loss"} <= words(last_name(node.func))):
        return None
    if is_sum and kind_of(contexts, context, first, place) is not Kind.HALF:
        return None
    call = Call(node, place)
    if is_of_float32(call, first) or kind_of(contexts, context, first, place) is Kind.FLOAT32 or _casts_in(place):
        return None
    return arithmetic_finding(
        node,
        place,
        f"the dice loss sums masks of whole images in {dtype_names(context.dtypes)}",
        (context.why, "no region is around it, in which autocast would compute sum in float32"),
        "Give it masks in float32: pred_masks.float().",
    )


def _class_name(place: Place) -> str:
    return place.function.cls.name if place.function.cls is not None else ""


def _casts_in(place: Place) -> bool:
    """Return whether a function takes something to float32, or turns autocast off."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr in _CASTS) or (isinstance(node, ast.keyword) and _is_off(node))
        for node in _nodes(place)
    )


def _is_off(keyword: ast.keyword) -> bool:
    return keyword.arg == "enabled" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False


def _nodes(place: Place) -> Iterator[ast.AST]:
    yield from walk(place.function.node)


def square_in_norm(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about ``(x - mean) ** 2`` in a norm by hand, where autocast does not lift it to float32."""
    base = square_of(node) if isinstance(node, ast.Call | ast.BinOp) else None
    is_norm = "norm" in f"{_class_name(place)} {place.function.name}".lower()
    if base is None or not is_norm or _mode(contexts, context, place) is Mode.AUTOCAST or _casts_in(place):
        return None
    if kind_of(contexts, context, base, place) is not Kind.HALF and context.tensors.mode is not Mode.HALF_MODEL:
        return None
    effect = "which overflows float16 above |x| = 255" if context.overflows else "with 8 bits"
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(node)} of this norm is computed in {dtype_names(context.dtypes)}, {effect}",
        (context.why, "nn.LayerNorm and nn.RMSNorm accumulate in float32, and a norm by hand does not"),
        "Take the input to float32 first, and the result back at the end.",
    )


def mel_product(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about a mel spectrogram in a float16 region, whose product with the filters is float16."""
    if not isinstance(node, ast.Call) or not context.overflows or not node.args or mentions_float32(node.args[0]):
        return None
    if _mode(contexts, context, place) is not Mode.AUTOCAST or not _computes_mel(contexts, Call(node, place)):
        return None
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(node.func)} multiplies power spectra and mel filters in float16: quiet bins are zero, and loud "
        "ones overflow",
        (context.why, "the product with the filters is a matrix product, which autocast runs in float16"),
        "Compute it outside of the region, or with autocast off (enabled=False).",
    )


def _computes_mel(contexts: HalfContexts, call: Call) -> bool:
    """Return whether a call multiplies spectra and mel filters: a layer of torchaudio, or a function of the project."""
    if "mel" not in call.name.lower():
        return False
    makers = {each.name for each in contexts.tensors.objects.of(call.node.func, call.place).calls()}
    if makers & {"MelScale", "MelSpectrogram", "MFCC"}:
        return True
    callee = contexts.tensors.callees.of(call)
    inner = callee.module.calls_in(callee) if callee is not None else []
    return any(each.name == "matmul" and not mentions_float32(each.node) for each in inner)


def deviation(contexts: HalfContexts, context: HalfContext, node: ast.AST, place: Place) -> CodeFinding | None:
    """Return the finding about the spread of half values: close values give zero, and small variances are zero."""
    if not is_call_of(node, "std", "var") or not isinstance(node, ast.Call):
        return None
    value = operand(node)
    if not context.overflows or value is None or kind_of(contexts, context, value, place) is not Kind.HALF:
        return None
    return arithmetic_finding(
        node,
        place,
        f"{ast.unparse(node.func)} is float16: a variance below 6e-8 is zero, and values that differ by less than "
        "one part in 2048 are equal",
        (context.why, "std and var are on none of autocast's lists: they give the dtype of their input"),
        "Take the value to float32 first: x.float().",
    )


def _mode(contexts: HalfContexts, context: HalfContext, place: Place) -> Mode:
    return contexts.tensors.mode_at(place, context.tensors.mode)
