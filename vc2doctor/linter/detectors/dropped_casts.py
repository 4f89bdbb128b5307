"""Casts of tensors whose result is dropped: ``x.float()`` as a statement changes nothing.

A module's ``to`` works in place, a tensor's returns another tensor:
https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html
"""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, is_inference_name, is_without_gradients, words
from vc2doctor.linter.analyse.tensor_dtypes import MODELS
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.knowledge.autocast_ops import FLOAT32_OPS, FOLLOWING_OPS, HALF_OPS, WIDENING_OPS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Assigned, Call, Place, last_name

_METHODS = frozenset({"float", "half", "bfloat16", "double", "to"})
_DTYPE = re.compile(r"float(16|32)|bfloat16|\bhalf\b|dtype")
_MAKERS = frozenset({"tensor", "zeros", "ones", "randn", "rand", "arange", "full", "empty", "as_tensor", "from_numpy"})
_OPERATIONS = FLOAT32_OPS | HALF_OPS | WIDENING_OPS | FOLLOWING_OPS | _MAKERS
_OF_OTHERS = frozenset(
    {"to", "cuda", "cpu", "repeat", "split", "norm", "linear", "pad", "view", "dropout", "normalize"}
)
"""Names of operations that modules and other objects have, too."""
_TENSORS = frozenset(
    {
        *("latents", "latent", "noise", "pred", "hidden", "mask", "image", "images", "pixel", "embeds", "logits"),
        *("tensor", "feats", "spec", "wav", "sample", "samples"),
    }
)
"""Words of names of tensors."""
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html"


def dropped_casts(facts: Facts) -> Iterator[CodeFinding]:
    """Yield statements that cast a tensor and drop the result (VC107)."""
    for module in facts.code.files.modules.values():
        if facts.stages.infers_by_path(module):
            continue
        for place in module.statements:
            call = place.statement.value if isinstance(place.statement, ast.Expr) else None
            receiver = _receiver_of_cast(call) if isinstance(call, ast.Call) else None
            if not isinstance(call, ast.Call) or receiver is None or _infers(place):
                continue
            is_shown = _is_tensor(facts, receiver, place)
            if is_shown or (is_shown is None and words(last_name(receiver)) & _TENSORS):
                yield _finding(place, call, receiver, is_shown=bool(is_shown))


def _infers(place: Place) -> bool:
    return any(is_inference_name(scope.name) for scope in place.function.scopes())


def _receiver_of_cast(call: ast.Call) -> ast.expr | None:
    """Return what a call casts to another dtype; ``None``: it casts nothing."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in _METHODS:
        return None
    arguments = [ast.unparse(each) for each in call.args] + [
        each.arg or ast.unparse(each.value) for each in call.keywords
    ]
    is_cast = any(_DTYPE.search(each) for each in arguments) if function.attr == "to" else not arguments
    return function.value if is_cast and isinstance(function.value, ast.Name) else None


def _is_tensor(facts: Facts, receiver: ast.expr, place: Place) -> bool | None:
    """Return whether a name holds a tensor: an operation made it; ``None``: the code does not tell."""
    if words(last_name(receiver)) & (MODELS | {"encoder", "vae", "decoder", "pipe", "pipeline", "ema"}):
        return False
    name = last_name(receiver)
    assigned: list[Assigned] = place.function.names.get(name, [])
    before = [(value, at) for value, at in assigned if at.statement and at.statement.lineno < _line(place)]
    if any(_makes_tensor(value, at) for value, at in before[-1:]):
        return True
    if any(True for _ in facts.objects.of(receiver, place).calls()):
        return False
    return None


def _line(place: Place) -> int:
    return place.statement.lineno if place.statement is not None else 0


def _makes_tensor(value: ast.expr, place: Place) -> bool:
    """Return whether an expression is an operation on tensors: ``torch.cat(…)``, ``a + scale * (b - a)``."""
    if isinstance(value, ast.BinOp):
        operands = [each for side in (value.left, value.right) for each in _parts(side)]
        return any(_makes_tensor(each, place) or _is_chunk(each, place) for each in operands)
    if not isinstance(value, ast.Call):
        return False
    dotted = place.module.dotted(value.func)
    if dotted.startswith("torch.") and "." not in dotted.removeprefix("torch."):
        return last_name(value.func) in _OPERATIONS
    name = last_name(value.func)
    return isinstance(value.func, ast.Attribute) and name in _OPERATIONS - _OF_OTHERS - _MAKERS


def _parts(value: ast.expr) -> list[ast.expr]:
    return [*_parts(value.left), *_parts(value.right)] if isinstance(value, ast.BinOp) else [value]


def _is_chunk(value: ast.expr, place: Place) -> bool:
    """Return whether a name is an element of what splits a tensor: ``uncond, text = noise_pred.chunk(2)``."""
    unpacked = place.function.unpacked.get(value.id, []) if isinstance(value, ast.Name) else []
    return any(isinstance(each, ast.Call) and last_name(each.func) == "chunk" for each, _, _ in unpacked)


def _finding(place: Place, call: ast.Call, receiver: ast.expr, *, is_shown: bool) -> CodeFinding:
    name = ast.unparse(receiver)
    message = f"{build.code(call)} returns another tensor, which is dropped: {name} keeps its dtype"
    return build.at_node(
        place.module,
        call,
        "VC107",
        Severity.WARNING if is_shown else Severity.NOTE,
        message if is_shown else f"{message}, if it is a tensor",
        evidence=("only modules are cast in place",),
        remedy=f"Assign the result: {name} = {build.code(call)}.",
        url=_URL,
    )


def fixed_casts(facts: Facts) -> Iterator[CodeFinding]:
    """Yield notes (VC107) about casts to float16 in a class of Lightning, whose trainer decides the precision."""
    seen: set[ast.stmt | None] = set()
    for cast in facts.weights.casts:
        place = cast.call.place
        if place.statement in seen or not _is_fixed(facts, cast):
            continue
        seen.add(place.statement)
        is_count = bool(words(cast.name) & {"len", "length", "lengths", "lens"})
        effect = "; a length above 2048 is rounded in float16" if is_count else ""
        yield build.at_node(
            place.module,
            cast.call.node,
            "VC107",
            Severity.NOTE,
            f"{build.code(cast.call.node)} is float16 whatever precision the trainer runs in{effect}",
            evidence=("the precision of Lightning's trainer casts what its region needs",),
            remedy="Leave the cast out, or cast to the dtype of the layer that takes the value.",
        )


def _is_fixed(facts: Facts, cast: Cast) -> bool:
    place = cast.call.place
    cls = place.function.cls
    if cls is None or cast.dtypes != {FLOAT16} or cast.is_of_module or not isinstance(cast.receiver, ast.Name):
        return False
    is_of_lightning = any(base.endswith("LightningModule") for base in facts.code.base_names(cls))
    is_open = any("16" in ast.unparse(test) or "half" in ast.unparse(test) for test, _ in place.conditions)
    infers = is_inference_name(place.function.name) or cast.stage is Stage.INFERS or place.function.name == "__init__"
    is_given = Call(cast.call.node, place).name in ("half", "to")
    return is_of_lightning and not is_open and is_given and not (infers and not is_without_gradients(place))
