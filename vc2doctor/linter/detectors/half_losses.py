"""Losses that are computed on half-precision values, with nothing that takes them to float32."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.core.versions import older
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import dtype_names
from vc2doctor.linter.analyse.dtypes import FLOAT16, Dtype
from vc2doctor.linter.analyse.expressions import operand
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import is_of_float32
from vc2doctor.linter.analyse.half_heads import has_half_heads
from vc2doctor.linter.analyse.half_models import engine_loops, engine_of, half_models, why_engine
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.analyse.stage import is_inference_name
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode
from vc2doctor.linter.detectors.half_programs import half_contexts
from vc2doctor.linter.detectors.half_weights import (
    ModelOutputs,
    functions_of,
    half_weight_classes,
    loops_without_region,
    why_half_weights,
)
from vc2doctor.linter.knowledge.half_logits import HALF_LOGITS_SINCE
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class, Function, Place, last_name

_LOSS_NAMES = ("cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss")
_MAY_HAVE_LOSS = re.compile(r"cross_entropy|CrossEntropy|nll_loss|NLLLoss|log_softmax|logsigmoid")
"""What all losses have in the text. A module without it is not searched."""
_LOG_NAMES = ("log_softmax", "logsigmoid")
"""Logarithms that hand-written losses are made of."""
_LOG_PROBABILITIES = re.compile(r"log_?ratio|log_?prob|logps?\b")
"""Names of logarithms of probabilities, whose exponential is the ratio of a policy loss."""
_FLOAT32_LOGITS = re.compile(r"\.logits\.(float\(\)|to\(torch\.float32\))")
"""What a trainer has that takes the logits of its model to float32 where it gets them, and hands them on."""
_FLOAT32_HEAD = re.compile(r"logits = logits\.float\(\)|head\([^\n]*\)\.float\(\)")
"""What the module of a language model has that returns its logits in float32."""
_HAS_MODEL = re.compile(r"^class \w+\([^)]*(Module|Model|LM|Generation)\w*\b", re.MULTILINE)
"""What such a module has, and one of samplers has not: the class of a model."""
MAX_HOPS = 4
"""Assignments between the output of a model and its loss."""
_CRITERIA = ("criterion", "loss_fct", "loss_fn", "loss_func", "ce_loss", "criterion_ce")
_URL = "https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32"

LossCall = tuple[Call, frozenset[Dtype], str]
"""A call that computes a loss, the half precisions of its input, and why it is half."""


def half_losses(facts: Facts) -> Iterator[CodeFinding]:
    """Yield losses on half logits: one finding for those that are half for the same reason."""
    groups: dict[str, list[LossCall]] = defaultdict(list)
    reported: set[ast.Call] = set()
    sources = (_in_models, _in_engine_loops, _in_float16_branches, _in_loops_of_half_weights, _in_half_contexts)
    for loss in (loss for source in sources for loss in source(facts)):
        call, _, why = loss
        if call.node not in reported and is_on_half(facts, call):
            reported.add(call.node)
            groups[why].append(loss)
    for losses in groups.values():
        # A ratio of probabilities is half only where the logarithms before it are.
        if any(call.name != "exp" for call, _, _ in losses):
            yield _half_loss(sorted(losses, key=lambda loss: loss[0].name == "exp"))


def _in_models(facts: Facts) -> Iterator[LossCall]:
    """Yield the losses in classes that compute in half precision without autocast."""
    for model in (*half_models(facts), *half_weight_classes(facts)):
        if facts.code.extends_trainer(model.cls) and _gets_float32_logits(facts, model.cls):
            continue
        for function in _training_functions(facts, model.cls):
            yield from ((call, model.dtypes, model.why) for call in function.module.calls_in(function))


def _gets_float32_logits(facts: Facts, cls: Class) -> bool:
    """Return whether a trainer takes the logits of its model to float32, or the library's models have done so."""
    version = facts.code.version(facts.code.unit_of(cls.module), "transformers")
    return older(version, HALF_LOGITS_SINCE) or _FLOAT32_LOGITS.search(cls.module.source.text) is not None


def _training_functions(facts: Facts, cls: Class) -> Iterator[Function]:
    """Yield the methods of a model or trainer that train, with the functions of the same module that they call."""
    is_trainer = facts.code.extends_trainer(cls)
    for method in cls.methods.values():
        is_forward = method.name.startswith("forward") and "infer" not in method.name
        if is_forward or (is_trainer and not is_inference_name(method.name)):
            yield method
            callees = (facts.code.callee(call) for call in method.module.calls_in(method))
            yield from (callee for callee in callees if callee is not None and callee.module is cls.module)


def _in_engine_loops(facts: Facts) -> Iterator[LossCall]:
    """Yield losses that a loop itself takes on what a half-precision engine returns."""
    for unit in facts.code.units.values():
        loops = engine_loops(facts, unit)
        engine = engine_of(facts, unit) if loops else None
        for loop in loops if engine is not None else ():
            functions = functions_of(facts, loop)
            for call in (call for function in functions for call in function.module.calls_in(function)):
                if engine is not None and call.name in ("cross_entropy", "exp", *_LOG_NAMES):
                    yield call, engine.dtypes, why_engine(engine)


def _in_loops_of_half_weights(facts: Facts) -> Iterator[LossCall]:
    """Yield losses in loops without a region on what a model with half-precision weights returns."""
    outputs = ModelOutputs(facts)
    for unit in facts.code.units.values():
        for loop in loops_without_region(facts, unit):
            functions = functions_of(facts, loop)
            for call in (call for function in functions for call in function.module.calls_in(function)):
                value = logits_of(facts, call) if call.name in ("cross_entropy", "exp", *_LOG_NAMES) else None
                cause = outputs.cause_of(value, call.place) if value is not None else None
                if cause is not None and isinstance(cause.dtype, Dtype):
                    yield call, frozenset([cause.dtype]), why_half_weights(cause)


def _in_float16_branches(facts: Facts) -> Iterator[LossCall]:
    """Yield losses in a branch that a key for float16 weights selects."""
    for module in facts.code.files.modules.values():
        if "cross_entropy" not in module.source.text or facts.stages.infers_by_path(module):
            continue
        for call in module.calls:
            branch = float16_branch(facts, call.place) if call.name == "cross_entropy" else None
            if branch is not None:
                why = f"{build.code(branch.key)} makes the weights float16, without autocast"
                yield call, frozenset([FLOAT16]), why


def _in_half_contexts(facts: Facts) -> Iterator[LossCall]:
    """Yield losses on values that are known to be half where training computes them, outside of any region."""
    contexts = half_contexts(facts)
    for module in facts.code.files.modules.values():
        for call in module.calls if _MAY_HAVE_LOSS.search(module.source.text) else ():
            value = logits_of(facts, call) if call.name != "exp" else None
            for context in contexts.of(call.place.function) if value is not None else ():
                is_cast = contexts.tensors.mode_at(call.place, context.tensors.mode) is Mode.AUTOCAST
                if not is_cast and contexts.tensors.of(value or call.node, call.place, context.tensors) is Kind.HALF:
                    yield call, frozenset(each for each in context.dtypes if isinstance(each, Dtype)), context.why


def is_on_half(facts: Facts, call: Call) -> bool:
    """Return whether a call is a loss whose logits nothing takes to float32."""
    value = logits_of(facts, call)
    if value is None or not _can_be_reached(facts, call.place):
        return False
    if any("autocast" in ast.unparse(context) for context in call.place.contexts):
        return False
    return not is_of_float32(call, value) and not _is_of_float32_model(facts, call, value)


def _is_of_float32_model(facts: Facts, call: Call, value: ast.expr) -> bool:
    """Return whether logits are the output of another model, which takes them to float32 itself."""
    if not _is_of_output(call.place.function, value):
        return False
    module = call.place.module
    closure = facts.code.import_closure(module)
    is_of_library = any(dotted.startswith("transformers") for each in closure for dotted in each.imports.values())
    if is_of_library and older(facts.code.version(facts.code.unit_of(module), "transformers"), HALF_LOGITS_SINCE):
        return not has_half_heads(facts)
    texts = (other.source.text for other in closure - {module})
    return any(_FLOAT32_HEAD.search(text) is not None and _HAS_MODEL.search(text) is not None for text in texts)


def _is_of_output(function: Function, value: ast.expr, hops: int = 0) -> bool:
    """Return whether a value is made of the attribute ``logits`` of what a model returned: ``outputs.logits``."""
    nodes = list(ast.walk(value))
    if any(isinstance(node, ast.Attribute) and node.attr == "logits" for node in nodes):
        return True
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    values = [each for name in names for each, _ in function.names.get(name, [])] if hops < MAX_HOPS else []
    return any(_is_of_output(function, each, hops + 1) for each in values)


def _can_be_reached(facts: Facts, place: Place) -> bool:
    """Return whether the conditions around a place can hold; callers that are not read can give any argument."""
    parameters = set(place.function.parameters())
    return not any(
        facts.values.truth(condition, place) is (not wanted)
        for condition, wanted in place.conditions
        if not parameters & {node.id for node in ast.walk(condition) if isinstance(node, ast.Name)}
    )


def logits_of(facts: Facts, call: Call) -> ast.expr | None:
    """Return what a loss is taken on: its first argument, or the tensor whose method it is; ``None``: it is no loss."""
    function = call.node.func
    first = call.node.args[0] if call.node.args else call.argument("input")
    if call.name in ("cross_entropy", *_LOG_NAMES) and not _is_of_self(function):
        is_function = call.place.module.dotted(function).startswith(("torch.", "F.", "nn."))
        is_method = isinstance(function, ast.Attribute) and not is_function
        return function.value if is_method and isinstance(function, ast.Attribute) else first
    if call.name == "exp":
        ratio = operand(call.node)
        return ratio if ratio is not None and _LOG_PROBABILITIES.search(ast.unparse(ratio)) else None
    if isinstance(function, ast.Call):
        return first if last_name(function.func) in _LOSS_NAMES else None
    if call.name in _CRITERIA:
        local = call.place.function.names.get(call.name, [])
        made = [each.name for each in facts.objects.of(function, call.place).calls()]
        made.extend(last_name(value.func) for value, _ in local if isinstance(value, ast.Call))
        return first if set(made) & set(_LOSS_NAMES) else None
    return None


def _is_of_self(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and last_name(function.value) == "self"


def _half_loss(losses: list[LossCall]) -> CodeFinding:
    (call, dtypes, why), *others = losses
    bits = "8" if FLOAT16 not in dtypes else "11"
    count = f", at {len(losses)} places" if others else ""
    return build.at_node(
        call.place.module,
        call.node,
        "VC107",
        Severity.WARNING,
        f"the loss is taken on half-precision logits: {dtype_names(dtypes)} keeps {bits} bits, "
        f"so close logits and small losses are lost{count}",
        evidence=(why, "autocast would take it to float32; without a region nothing does"),
        remedy="Take the logits to float32 first: logits.float().",
        url=_URL,
        role="cast",
        also=tuple(build.place_of(other.place.module, other.node) for other, _, _ in others),
    )
