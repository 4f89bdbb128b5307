"""Half-precision weights in a program whose optimizer may get them, although the code does not show that it does.

The other detectors of VC109 follow a model from its load to its optimizer. Here the facts of a program are enough: it
makes half weights of a whole model, it gives the parameters of a model to a plain optimizer, and nothing in it keeps
float32 copies. So these findings are notes.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import Asked, asked_of, has_optional_engine
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, dtype_names
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.frozen import is_frozen_by_its_class
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.on_cuda import is_off_cuda
from vc2doctor.linter.analyse.stage import Stage, is_torch_module, words
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.detectors.trained_dtype import (
    BFLOAT16_EFFECT,
    gets_adapters_in_place,
    keeps_small_updates,
    large_rate,
)
from vc2doctor.linter.detectors.weight_causes import is_only_offered
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, Place, last_name

ADAPTERS = frozenset(
    {"get_peft_model", "PeftModel", "FastLanguageModel", "FastModel", "add_adapter", "inject_adapter_in_model"}
)
"""Calls of a program that may train adapters alone."""
COPIES = re.compile(
    r"FP16_?Optimizer|BF16_?Optimizer|master_?(p\b|param|weight|cop|grad|model|flat|dtype)|cast_training_params|prep_param_lists|MixedPrecisionTrainer|[Kk]ahan"
    r"|stochastic_round|\b(Ada)?L[Oo][Mm][Oo]\b"
)
"""What a program has in its text that keeps float32 copies, or makes up for what rounding to bfloat16 loses."""
ENGINES = re.compile(r"^[^#\n]*(deepspeed|megatron|colossalai)", re.MULTILINE | re.IGNORECASE)
NOT_TRAINED = frozenset(
    {"ref", "reference", "teacher", "reward", "vae", "ema", "frozen", "judge", "old", "draft", "guide"}
)
_PLAIN = re.compile(
    r"^(Adam|AdamW|SGD|RMSprop|NAdam|RAdam|FusedAdam|optim\w*|opt|create_optimizer|configure_optimizers)$"
)
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


class _HalfPlace(NamedTuple):
    """A place that makes, or may make, the weights of a whole model half."""

    node: ast.expr
    place: Place
    dtypes: frozenset[Value]
    load: Load | None
    is_certain: bool
    """Whether every run makes them half there."""


def possible_half(facts: Facts, known: frozenset[tuple[str | None, int | None]]) -> Iterator[CodeFinding]:
    """Yield places whose half weights an optimizer may get (VC109); ``known`` are the lines that have a finding."""
    for half in _half_places(facts):
        is_dead = facts.values.is_reached(half.place) is False or is_off_cuda(half.place)
        if is_dead or build.span(half.place.module, half.node)[:2] in known:
            continue
        for trained in _consumers(facts, half.place.module):
            why = _why_trained(facts, half, trained)
            if why is not None:
                yield _finding(half, trained, why)
                break


def _half_places(facts: Facts) -> Iterator[_HalfPlace]:
    for load in facts.weights.loads:
        is_whole = load.quantized is None or _is_optional_quantization(facts, load)
        # VC101 reports loads that are float16 in every run.
        is_new = load.dtypes != {FLOAT16} and bool(load.dtypes & HALF_DTYPES)
        if (
            is_whole
            and is_new
            and not load.is_inert
            and not load.is_of_copy
            and not is_frozen_by_its_class(facts, load)
        ):
            half = load.dtypes & HALF_DTYPES
            is_certain = half == load.dtypes and load.quantized is None
            yield _HalfPlace(load.node, load.place, half, load, is_certain and _is_certain(facts, load.place))
    for cast in facts.weights.casts:
        if _is_of_whole_model(facts, cast) and not cast.is_of_frozen:
            half = cast.dtypes & HALF_DTYPES
            is_certain = half == cast.dtypes and _is_certain(facts, cast.call.place)
            yield _HalfPlace(cast.call.node, cast.call.place, half, None, is_certain)


def _is_certain(facts: Facts, place: Place) -> bool:
    return facts.values.is_reached(place) is True


def _is_optional_quantization(facts: Facts, load: Load) -> bool:
    """Return whether a load is quantized in some runs only: an option asks for it, or its settings can be ``None``."""
    call = Call(load.node, load.place) if isinstance(load.node, ast.Call) else None
    if call is None:
        return False
    options = [option for name in ("load_in_8bit", "load_in_4bit") if (option := call.argument(name)) is not None]
    config = call.argument("quantization_config")
    if config is None:
        return bool(options) and all(_is_open(facts, option, load.place) for option in options)
    if not isinstance(config, ast.Name):
        return False
    values = load.place.function.names.get(config.id, [])
    return any(isinstance(value, ast.Constant) and value.value is None for value, _ in values)


def _is_open(facts: Facts, option: ast.expr, place: Place) -> bool:
    """Return whether only a run can tell an option: also the parameter of a function that the command line fills."""
    function = place.function
    is_of_command = isinstance(option, ast.Name) and option.id in function.parameters()
    return facts.values.truth(option, place) is None or (is_of_command and not facts.code.callers(function))


def _is_of_whole_model(facts: Facts, cast: Cast) -> bool:
    """Return whether a cast is of a module of the project or of one that a library builds, and not of a tensor."""
    function = cast.call.place.function
    if function.name == "forward" or cast.call.place.loop_depth or is_only_offered(facts, function):
        return False
    if cast.is_of_module:
        return not words(cast.name) & {"encoder", "tower", "text", "vision"}
    cls = facts.objects.class_of(cast.receiver, cast.call.place)
    if cls is not None:
        return is_torch_module(facts.code, cls)
    makers = facts.objects.makers(cast.receiver, cast.call.place)
    return any(maker.place.module.dotted(maker.node.func).startswith("torchvision.models.") for maker in makers)


def _consumers(facts: Facts, module: Module) -> list[Trained]:
    """Return the plain optimizers and trainers of the programs of a module, those of the module itself first."""
    program = facts.code.together_with(module)
    found = [
        trained
        for trained in facts.lineages.trained
        if trained.consumer.place.module in program and (trained.is_by_trainer or is_plain_optimizer(trained.consumer))
    ]
    return sorted(found, key=lambda trained: trained.consumer.place.module is not module)


def is_plain_optimizer(optimizer: Call) -> bool:
    """Return whether a call makes an optimizer of torch that keeps no float32 copies."""
    return (_PLAIN.match(optimizer.name) is not None or not optimizer.name) and not keeps_small_updates(optimizer)


def _why_trained(facts: Facts, half: _HalfPlace, trained: Trained) -> str | None:
    """Return why a trainer or optimizer may train half weights; ``None``: it does not, or keeps float32 copies."""
    lineage, consumer = trained.lineage, trained.consumer
    nodes = {each.node for each in (*lineage.makers, *lineage.steps)}
    is_own = half.node in nodes or any(each.call.node is half.node for each in facts.lineages.casts_of(lineage))
    if not is_own and (lineage.makers or _names_frozen(half) or trained.is_by_trainer):
        return None
    program = frozenset({half.place.module, consumer.place.module})
    if any(COPIES.search(each.source.text) for each in program) or gets_adapters_in_place(trained):
        return None
    if consumer.argument("peft_config") is not None or facts.stages.of(half.place) is Stage.INFERS:
        return None
    if large_rate(facts, [consumer]) is not None or is_upcast(program) or _is_switched_off(half):
        return None
    condition = _engine_condition(facts, trained, program)
    if condition is None:
        return None
    return _without_adapters(trained, program, condition, is_own=is_own)


def _without_adapters(trained: Trained, program: frozenset[Module], condition: str, *, is_own: bool) -> str | None:
    """Return a condition and that a run has no adapters; ``None``: adapters alone are trained, or may be."""
    adapter = trained.lineage.adapter
    if adapter is None:
        adds = any(call.name in ADAPTERS for each in program for call in each.calls)
        return condition if is_own or not adds else None
    if not adapter.place.conditions or not is_own:
        return None
    option, _ = adapter.place.conditions[-1]
    return " and ".join(filter(None, (condition, f"where {build.code(option)} adds no adapters")))


def _engine_condition(facts: Facts, trained: Trained, program: frozenset[Module]) -> str | None:
    """Return on which condition a run has no engine; ``""``: on none; ``None``: it may always have one."""
    asked: Asked = asked_of(facts, trained)
    if trained.is_by_trainer and asked.scales_float16:
        return None
    if not asked.has_engine and not any(ENGINES.search(each.source.text) for each in program):
        return ""
    return "without DeepSpeed" if has_optional_engine(facts, trained) else None


def _names_frozen(half: _HalfPlace) -> bool:
    """Return whether the names around a place say that no optimizer gets what it makes."""
    names = [half.place.function.name, *map(last_name, half.place.targets)]
    cls = half.place.function.cls
    return any(words(name) & NOT_TRAINED for name in (*names, *([cls.name] if cls is not None else [])))


def is_upcast(program: frozenset[Module]) -> bool:
    """Return whether code around a model takes parameters to float32, or clones them to float32."""
    for module in program:
        for call in module.calls:
            if call.name in ("float", "to") and isinstance(call.node.func, ast.Attribute):
                text = ast.unparse(call.node)
                is_float32 = call.name == "float" or "float32" in text
                if is_float32 and re.match(r"(\w*p|\w*param\w*|\w*weight\w*|\w*model|\w*net)\b", text):
                    return True
    return False


def _is_switched_off(half: _HalfPlace) -> bool:
    """Return whether the function of a place freezes the model that it makes, or only evaluates it."""
    if isinstance(half.node, ast.Call) and last_name(half.node.func) == "eval":
        return True
    names = {ast.unparse(target) for target in half.place.targets}
    if half.load is None and isinstance(half.node, ast.Call) and isinstance(half.node.func, ast.Attribute):
        names.add(ast.unparse(half.node.func.value))
    for call in half.place.module.calls_in(half.place.function):
        if call.name in ("eval", "requires_grad_") and isinstance(call.node.func, ast.Attribute):
            is_off = call.name == "eval" or ast.unparse(call.node).endswith("(False)")
            if is_off and (ast.unparse(call.receiver) in names or _contains(call.receiver, half.node)):
                return True
    return False


def _contains(outer: ast.expr, node: ast.expr) -> bool:
    return any(each is node for each in ast.walk(outer))


def _finding(half: _HalfPlace, trained: Trained, condition: str) -> CodeFinding:
    consumer = trained.consumer
    is_float16 = BFLOAT16 not in half.dtypes
    effect = "AdamW's eps of 1e-8 is 0 there, and small updates are lost" if is_float16 else BFLOAT16_EFFECT
    modal = "are" if half.is_certain else "may be"
    place = build.place_of(consumer.place.module, consumer.node)
    return build.at_node(
        half.place.module,
        half.node,
        "VC109",
        Severity.NOTE,
        f"these weights {modal} {dtype_names(half.dtypes)}, and may be trained without float32 copies: {effect}",
        evidence=tuple(
            filter(None, (f"the program trains with {consumer.name or 'an optimizer'} at {place.location}", condition))
        ),
        remedy="If they are trained, load them in float32 and let autocast compute in half precision.",
        url=_URL,
        role="cast",
        also=(place,),
    )
