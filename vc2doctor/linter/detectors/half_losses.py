"""Losses and spectra that are computed on half-precision values, with nothing that takes them to float32."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.default_dtype import half_constructions
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class, Function, last_name

_LOSS_NAMES = ("cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss")
MAX_NAMES = 4
"""Names that are made of one another and are followed: ``logits``, ``shift_logits``, ``flat_logits``."""
_URL = "https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32"


def half_losses(facts: Facts) -> Iterator[CodeFinding]:
    """Yield cross entropies on half logits, and spectra that a float16 region computes."""
    reported: set[ast.Call] = set()
    for cls, why in _half_classes(facts):
        for method in cls.methods.values():
            if method.name.startswith("forward") and "infer" not in method.name:
                for call in method.module.calls_in(method):
                    if call.node not in reported and _is_loss_on_half(facts, call):
                        reported.add(call.node)
                        yield _half_loss(call, why)
    for loop in facts.loops.all:
        yield from _half_spectra(facts, loop)
    for unit in facts.code.units.values():
        yield from _losses_of_engine_loops(facts, unit)


def _half_classes(facts: Facts) -> Iterator[tuple[Class, str]]:
    """Yield the classes of models that compute in half precision without autocast, each with the reason."""
    for made in half_constructions(facts.code, facts.values, facts.stages):
        location = build.place_of(made.setter.place.module, made.setter.node).location
        yield made.cls, f"the model is constructed with {made.dtype.name} as the default dtype at {location}"
    for loop in facts.loops.all:
        branches = (float16_branch(facts, call.place) for call in loop.backwards)
        branch = next((branch for branch in branches if branch is not None), None)
        for cls in loop.function.module.classes.values() if branch is not None else ():
            yield cls, f"{build.code(branch.key) if branch else ''} makes the weights float16, without autocast"
    for unit in facts.code.units.values():
        yield from _under_engine(facts, unit)


def _losses_of_engine_loops(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield losses that a loop itself takes on what a half-precision engine returns."""
    where = _engine_in_files(unit) or _engine_in_code(facts, unit)
    for loop in facts.loops.of(unit) if where is not None else ():
        functions = (loop.function, *loop.reached) if any(call.node.args for call in loop.backwards) else ()
        for call in (call for function in functions for call in function.module.calls_in(function)):
            if call.name in ("cross_entropy", "log_softmax") and call.node.args and not _is_of_float32(call):
                yield _half_loss(call, f"DeepSpeed makes the whole model half precision, without autocast: {where}")


def _is_of_float32(call: Call) -> bool:
    """Return whether the first argument of a call is taken to float32, there or before."""
    names = {node.id for node in ast.walk(call.node.args[0]) if isinstance(node, ast.Name)}
    return _mentions_float32(call.node.args[0]) or _is_cast_before(call.place.function, names, call)


def _under_engine(facts: Facts, unit: Unit) -> Iterator[tuple[Class, str]]:
    """Yield the classes that compute in half precision because DeepSpeed's own file says so."""
    engine_loops = [loop for loop in facts.loops.of(unit) if any(call.node.args for call in loop.backwards)]
    where = (_engine_in_files(unit) or _engine_in_code(facts, unit)) if engine_loops else None
    if where is None:
        return
    for module in unit.modules:
        for cls in module.classes.values():
            is_model = any(base.endswith(("PreTrainedModel", "Module")) for base in facts.code.base_names(cls))
            if is_model and not facts.stages.infers_by_path(module):
                yield cls, f"DeepSpeed makes the whole model half precision, without autocast: {where}"


def _engine_in_files(unit: Unit) -> str | None:
    """Return where a file of DeepSpeed turns a half precision on."""
    places = (
        f"{config.name}:{entry.line}"
        for config in unit.configs
        if config.read_by == "engine"
        for entry in config.entries
        if entry.key in ("fp16.enabled", "bf16.enabled") and entry.value is True
    )
    return next(places, None)


def _engine_in_code(facts: Facts, unit: Unit) -> str | None:
    """Return where a configuration in code turns a half precision on: ``{"bf16": {"enabled": True}}``."""
    for call in unit.calls.get("initialize", []):
        config = call.argument("config") or call.argument("config_params")
        for origin in facts.objects.of(config, call.place).found if config is not None else ():
            for name, block in _items(origin.expression):
                enabled = next((value for key, value in _items(block) if key == "enabled"), None)
                if name in ("fp16", "bf16") and enabled is not None and facts.values.truth(enabled, origin.place):
                    return build.place_of(origin.place.module, enabled).location
    return None


def _items(expression: ast.expr) -> list[tuple[str, ast.expr]]:
    """Return the items of a dictionary with texts as keys."""
    if not isinstance(expression, ast.Dict):
        return []
    pairs = zip(expression.keys, expression.values, strict=True)
    return [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def _is_loss_on_half(facts: Facts, call: Call) -> bool:
    """Return whether a call is a cross entropy whose logits nothing takes to float32."""
    if not call.node.args or not _is_loss(facts, call) or facts.values.is_reached(call.place) is False:
        return False
    if any("autocast" in ast.unparse(context) for context in call.place.contexts):
        return False
    return not _is_of_float32(call)


def _is_loss(facts: Facts, call: Call) -> bool:
    if call.name == "cross_entropy":
        return True
    function = call.node.func
    if isinstance(function, ast.Call):
        return last_name(function.func) in _LOSS_NAMES
    if call.name in ("criterion", "loss_fct", "loss_fn", "loss_func", "ce_loss"):
        return any(made.name in _LOSS_NAMES for made in facts.objects.of(function, call.place).calls())
    return False


def _mentions_float32(expression: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ("float", "float32"))
        or (isinstance(node, ast.Constant) and node.value == "float32")
        for node in ast.walk(expression)
    )


def _is_cast_before(function: Function, names: set[str], call: Call, depth: int = 0) -> bool:
    """Return whether one of the names is made of a float32 value before a call in the same function."""
    values = [
        value
        for name in names
        for value, place in function.names.get(name, [])
        if place.statement is None or place.statement.lineno <= call.node.lineno
    ]
    if any(map(_mentions_float32, values)):
        return True
    further = {node.id for value in values for node in ast.walk(value) if isinstance(node, ast.Name)} - names
    return bool(further) and depth < MAX_NAMES and _is_cast_before(function, further, call, depth + 1)


def _half_loss(call: Call, why: str) -> CodeFinding:
    return build.at_node(
        call.place.module,
        call.node,
        "VC107",
        Severity.WARNING,
        "the loss is taken on half-precision logits: float16 keeps 11 bits, so close logits and small losses are lost",
        evidence=(why, "autocast would take cross entropy to float32; without a region nothing does"),
        remedy="Take the logits to float32 first: logits.float().",
        url=_URL,
        role="cast",
    )


def _half_spectra(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield calls in a float16 region that compute a spectrum of half values: torch.stft is not on autocast's lists."""
    for region in loop.regions:
        if FLOAT16 not in region.dtypes or region.autocast.is_disabled:
            continue
        inside = {node for node in ast.walk(region.statement) if isinstance(node, ast.Call)}
        for call in region.place.module.calls:
            if call.node in inside and _computes_spectrum(facts, call) and not _is_protected(call, region.statement):
                yield build.at_node(
                    call.place.module,
                    call.node,
                    "VC107",
                    Severity.WARNING,
                    f"{call.name} computes a spectrum of half-precision values inside a float16 region",
                    evidence=("autocast casts neither torch.stft nor its input; the mel product then runs in float16",),
                    remedy="Leave the region first (autocast with enabled=False), and give it x.float().",
                    url=_URL,
                    role="cast",
                )


def _computes_spectrum(facts: Facts, call: Call) -> bool:
    callee = facts.code.callee(call)
    if callee is None or any(_mentions_float32(argument) for argument in call.node.args):
        return False
    called = callee.module.calls_in(callee)
    return any(inner.name == "stft" for inner in called) and not _takes_input_to_float32(callee)


def _takes_input_to_float32(function: Function) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "float"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in function.parameters()
        for node in ast.walk(function.node)
    )


def _is_protected(call: Call, statement: ast.stmt) -> bool:
    """Return whether a region inside of the outer one turns autocast off around a call."""
    return any(
        isinstance(inner, ast.With)
        and inner is not statement
        and any("enabled=False" in ast.unparse(item.context_expr) for item in inner.items)
        and any(node is call.node for node in ast.walk(inner))
        for inner in ast.walk(statement)
    )
