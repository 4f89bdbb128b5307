"""Whether a training loop computes in half precision, and why: a region, accelerate, apex, a scaler, or its model."""

import ast
from collections.abc import Iterator

from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region
from vc2doctor.linter.analyse.dtypes import as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lightning_files import precisions_in_files
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import scale_calls, scalers_of
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.detectors.half_by_argument import half_by_argument_programs
from vc2doctor.linter.detectors.trained_dtype import half_models
from vc2doctor.linter.read.module import Call, Module, last_name
from vc2doctor.linter.read.run_settings import HALF

_FLOAT32_LEVEL = "O0"
"""The level of apex that computes in float32: https://nvidia.github.io/apex/amp.html#opt-levels"""

_NAMED_HALF = {"amp", "fp16", "bf16", "mixed"}
"""Words in the names of programs that are meant for mixed precision."""


def why_may_be_half(facts: Facts, loop: Loop) -> str | None:
    """Return why a loop computes in half precision in every run, or in those with an option; ``None``: in none."""
    reasons = (_optional_regions, _arguments)
    return why_half(facts, loop) or next((why for reason in reasons for why in reason(facts, loop)), None)


def why_half(facts: Facts, loop: Loop) -> str | None:
    """Return why a loop computes in half precision, with a place, as evidence; ``None``: nothing says that it does."""
    reasons = (_branches, _accelerate, _variant, _lightning, _regions, _apex, _scaler, _weights)
    return next((why for reason in reasons for why in reason(facts, loop)), None)


def accelerate_dtypes(facts: Facts, loop: Loop) -> dict[object, str]:
    """Return the half precisions that accelerate can run a loop in, each with the place that says so.

    The code says so, or a command that starts a program with the loop, or a file that the command names.
    """
    module = loop.function.module
    unit, closure = facts.code.unit_of(module), facts.code.import_closure(module)
    found: dict[object, str] = {}
    for call in unit.calls.get("Accelerator", []):
        precision = call.argument("mixed_precision", 2)
        if call.place.module in closure and precision is not None:
            for dtype in facts.values.dtypes(precision, call.place):
                found.setdefault(dtype, _at(call.place.module, call.node))
    for run in facts.runs.of(unit):
        for settings in run.of("accelerate") if module in run.modules else ():
            for setting in settings.precisions:
                if setting.value in HALF:
                    found.setdefault(as_dtype(setting.value), setting.place)
    return {dtype: place for dtype, place in found.items() if dtype in HALF_DTYPES}


def is_by_accelerate(loop: Loop) -> bool:
    """Return whether accelerate runs the backward pass of a loop."""
    return any("accelerator" in ast.unparse(call.receiver) for call in loop.backwards)


def _at(module: Module, node: ast.AST) -> str:
    return f"{build.place_of(module, node).location} {build.code(node)}"


def _branches(facts: Facts, loop: Loop) -> Iterator[str]:
    for call in loop.backwards:
        branch = float16_branch(facts, call.place)
        if branch is not None:
            yield f"{build.code(branch.key)} makes the weights float16"


def _accelerate(facts: Facts, loop: Loop) -> Iterator[str]:
    if is_by_accelerate(loop):
        yield from (f"accelerate computes in it: {place}" for place in accelerate_dtypes(facts, loop).values())


def _variant(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the command that starts other programs of accelerate in half, for one that is named after it.

    ``train_amp.py`` beside ``accelerate launch --mixed_precision fp16 train.py`` is started in the same way.
    """
    module = loop.function.module
    unit = facts.code.unit_of(module)
    makers = [call for call in module.calls if call.name == "Accelerator"]
    is_open = bool(makers) and all(call.argument("mixed_precision", 2) is None for call in makers)
    if not is_by_accelerate(loop) or not is_open or not words(module.name.rpartition("/")[2]) & _NAMED_HALF:
        return
    runs = [run for run in facts.runs.of(unit) if run.launch is not None]
    if not any(module in run.modules for run in runs):
        settings = (setting for run in runs for each in run.of("accelerate") for setting in each.precisions)
        yield from (f"other programs here are started so: {each.place}" for each in settings if each.value in HALF)


def _lightning(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the precision of the trainer or of Fabric that runs the backward pass of a loop."""
    is_run_by_it = any(
        call.name == "manual_backward" or last_name(call.receiver) == "fabric" for call in loop.backwards
    )
    module = loop.function.module
    for run in facts.runs.of(facts.code.unit_of(module)) if is_run_by_it else ():
        for settings in run.of("lightning") if module in run.modules else ():
            yield from (f"Lightning computes in it: {each.place}" for each in settings.precisions if each.value in HALF)
    # Manual optimization clips nothing by itself, whatever limit the trainer has.
    for each in precisions_in_files(facts, module) if is_run_by_it else ():
        yield f"Lightning computes in it: {each.place}"


def _regions(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the regions of a loop, or of the other methods of its class."""
    cls = loop.function.cls
    of_class = [region for region in facts.autocast.regions if cls and region.place.function.cls is cls]
    for region in (*loop.regions, *(each for each in of_class if each.stage is Stage.TRAINS)):
        if _is_half(facts, region):
            yield f"the autocast region at {build.place_of(region.place.module, region.call.node).location}"


def _optional_regions(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the regions of a loop that an option of its program turns on, which is off by default: ``--use_amp``."""
    arguments = facts.code.unit_of(loop.function.module).arguments
    for region in loop.own_regions:
        conditions = [condition for condition, wanted in region.place.conditions if wanted]
        names = [name for condition in conditions if (name := last_name(condition)) in arguments]
        option = next((name for name in names if words(name) & _NAMED_HALF), None)
        is_off = facts.values.is_reached(region.place) is False
        if option is not None and is_off and region.dtypes & HALF_DTYPES and not region.autocast.is_disabled:
            place = build.place_of(region.place.module, region.call.node)
            yield f"the autocast region at {place.location}, in runs with --{option}"


def _arguments(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the constructions that an argument makes half in programs which use the class or function of a loop."""
    cls = loop.function.cls
    names = {each.name for each in facts.code.related_classes(cls)} if cls is not None else {loop.function.name}
    for program, place in half_by_argument_programs(facts).items():
        uses = program is loop.function.module or any(call.name in names for call in program.calls)
        if uses and loop.function.module in facts.code.import_closure(program):
            yield f"its weights may be half: {place}"


def _is_half(facts: Facts, region: Region) -> bool:
    is_reached = facts.values.is_reached(region.place) is not False
    return bool(region.dtypes & HALF_DTYPES) and is_reached and not region.autocast.is_disabled


def _apex(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the loss scaling of apex, if a level of apex is not that of float32."""
    contexts = [context for call in loop.backwards for context in call.place.contexts]
    scalings = [each for each in contexts if isinstance(each, ast.Call) and last_name(each.func) == "scale_loss"]
    module = loop.function.module
    calls = facts.code.unit_of(module).calls.get("initialize", [])
    if scalings and not any(_is_float32_level(facts, call) for call in calls):
        yield f"apex scales the loss at {build.place_of(module, scalings[0]).location}"


def _is_float32_level(facts: Facts, call: Call) -> bool:
    level = call.argument("opt_level", 2)
    return level is not None and facts.values.of(level, call.place) == {_FLOAT32_LEVEL}


def _scaler(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield the scaling of the loss, which is there for float16, if a scaler of the loop can be on."""
    scalings = scale_calls(facts, loop)
    scalers = scalers_of(facts, facts.code.unit_of(loop.function.module), loop) if scalings else []
    if any(scaler.enabled != {False} for scaler in scalers):
        place = build.place_of(scalings[0].place.module, scalings[0].node)
        yield f"the loss is scaled at {place.location}, as float16 requires"


def _weights(facts: Facts, loop: Loop) -> Iterator[str]:
    """Yield what makes the model of a loop half, if an optimizer in its module trains it without an engine."""
    for model in half_models(facts):
        consumer = model.trained.consumer
        is_own = consumer.place.module is loop.function.module and not model.trained.is_by_trainer
        if is_own and not model.asked.has_engine:
            yield f"its weights are half: {_at(model.cause.module, model.cause.node)}"
