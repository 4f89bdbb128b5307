"""Models that compute in half precision without autocast: nothing takes their losses and norms to float32.

A DeepSpeed engine casts the whole model, transformers' trainer leaves the region to that engine, and a default dtype or
a branch for float16 weights makes a half model without any engine.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.default_dtype import half_constructions
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.precision_branches import float16_branch
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.read.launchers.deepspeed import BLOCKS
from vc2doctor.linter.read.module import Call, Class, Function, Module, Place
from vc2doctor.linter.read.run_settings import HALF

_IMPORTS_DEEPSPEED = re.compile(r"^[^#\n]*deepspeed", re.MULTILINE | re.IGNORECASE)
"""DeepSpeed named in code, and not only in a comment."""
_DTYPES = {"fp16": FLOAT16, "bf16": BFLOAT16}
_MODEL_BASES = ("PreTrainedModel", "Module", "ForCausalLM", "ForConditionalGeneration", "ForSequenceClassification")
"""Endings of the names of base classes of models. The classes of transformers end in what they are for."""


class HalfModel(NamedTuple):
    """A class that computes in half precision without autocast."""

    cls: Class
    dtypes: frozenset[Dtype]
    why: str
    """Why, with a place, as evidence."""


class HalfCall(NamedTuple):
    """A call that runs a model with half weights, outside of any region."""

    call: Call
    dtype: Dtype
    why: str
    """Why, with a place, as evidence."""
    loop: Function
    """The function that runs the backward pass of what the call leads to."""


class HalfEngine(NamedTuple):
    """The half precision that DeepSpeed's settings cast the model to."""

    dtypes: frozenset[Dtype]
    location: str


def half_models(facts: Facts) -> Iterator[HalfModel]:
    """Yield the classes of models that compute in half precision without autocast."""
    for made in half_constructions(facts.code, facts.values, facts.stages):
        location = _location(made.setter.place.module, made.setter.node)
        why = f"the model is constructed with {made.dtype.name} as the default dtype at {location}"
        if not _has_region_of_trainer(facts, made.setter.place.module):
            yield HalfModel(made.cls, frozenset([made.dtype]), why)
    for loop in facts.loops.all:
        branches = (float16_branch(facts, call.place) for call in loop.backwards)
        branch = next((branch for branch in branches if branch is not None), None)
        for cls in loop.function.module.classes.values() if branch is not None else ():
            key = ast.unparse(branch.key) if branch else ""
            yield HalfModel(cls, frozenset([FLOAT16]), f"{key} makes the weights float16, without autocast")
    for unit in facts.code.units.values():
        yield from _under_own_engine(facts, unit)
        yield from _under_trainer(facts, unit)


def _has_region_of_trainer(facts: Facts, module: Module) -> bool:
    """Return whether transformers' trainer opens a region in the program of a module: it does so without DeepSpeed."""
    runs = [
        run
        for run in facts.runs.of(facts.code.unit_of(module))
        if run.is_of_trainer and (module in run.modules or any(each.path == module.name for each in run.settings))
    ]
    return bool(runs) and all(run.half is not None and names_engine(facts, run) is None for run in runs)


def why_engine(engine: HalfEngine) -> str:
    """Return why a model under DeepSpeed is half, as evidence."""
    return f"DeepSpeed makes the whole model half precision, without autocast: {engine.location}"


def engine_of(facts: Facts, unit: Unit) -> HalfEngine | None:
    """Return the half precision that a unit's own loop gives to DeepSpeed, or ``None``."""
    return _engine_in_files(unit) or _engine_of_accelerate(facts, unit) or _engine_in_code(facts, unit)


def engine_loops(facts: Facts, unit: Unit) -> list[Loop]:
    """Return the loops whose backward pass is DeepSpeed's (``engine.backward(loss)``), and that open no region."""
    return [
        loop
        for loop in facts.loops.of(unit)
        if any(call.node.args for call in loop.backwards)
        and not loop.regions
        and _is_under_deepspeed(facts, unit, loop)
    ]


def _is_under_deepspeed(facts: Facts, unit: Unit, loop: Loop) -> bool:
    """Return whether the program of a loop, or a run of it, names DeepSpeed."""
    module = loop.function.module
    programs = (each for each in unit.modules if module in facts.code.import_closure(each))
    if any(_IMPORTS_DEEPSPEED.search(each.source.text) for each in programs):
        return True
    runs = (run for run in facts.runs.of(unit) if module in run.modules)
    return any(run.engine is not None or names_engine(facts, run) is not None for run in runs)


def trainer_engines(facts: Facts, unit: Unit) -> Iterator[tuple[Run, HalfEngine]]:
    """Yield the runs of transformers' trainer with DeepSpeed in half precision: the trainer then opens no region."""
    for run in facts.runs.of(unit):
        named = names_engine(facts, run) if run.is_of_trainer and run.modules else None
        half = run.half
        if named is not None and half is not None and half.value in HALF:
            yield run, HalfEngine(frozenset([_DTYPES[half.value]]), f"{named}, {half.place}")


def names_engine(facts: Facts, run: Run) -> str | None:
    """Return where a run names DeepSpeed: its file, or accelerate's file with DeepSpeed as the kind of run."""
    for settings in run.settings:
        if settings.engine is not None:
            return settings.engine.place
        entry = facts.runs.entry(settings.path, "distributed_type") if settings.launcher == "accelerate" else None
        if entry is not None and entry.value == "DEEPSPEED":
            return f"{settings.path}:{entry.line} distributed_type: {entry.value}"
    return None


def _under_own_engine(facts: Facts, unit: Unit) -> Iterator[HalfModel]:
    """Yield the classes of models that programs with their own loop give to DeepSpeed."""
    loops = engine_loops(facts, unit)
    engine = engine_of(facts, unit) if loops else None
    if engine is None:
        return
    modules = frozenset(loop.function.module for loop in loops)
    for cls in _models_in(facts, facts.reach.classes_of(unit, modules)):
        yield HalfModel(cls, engine.dtypes, why_engine(engine))


def _under_trainer(facts: Facts, unit: Unit) -> Iterator[HalfModel]:
    """Yield the classes of models and trainers that transformers' trainer runs with DeepSpeed."""
    seen: set[Class] = set()
    for run, engine in trainer_engines(facts, unit):
        used = facts.reach.classes_of(unit, programs_of(run))
        for cls in _models_in(facts, used):
            if cls not in seen:
                seen.add(cls)
                yield HalfModel(cls, engine.dtypes, why_engine(engine))


def programs_of(run: Run) -> frozenset[Module]:
    """Return the module that a run starts: the one that imports all others of the run."""
    imported = {dotted.rpartition(".")[2] for module in run.modules for dotted in module.imports.values()}
    imported |= {part for module in run.modules for dotted in module.imports.values() for part in dotted.split(".")}
    starts = frozenset(module for module in run.modules if _stem(module) not in imported)
    return starts or run.modules


def _stem(module: Module) -> str:
    return module.name.rpartition("/")[2].removesuffix(".py")


def _models_in(facts: Facts, classes: frozenset[Class]) -> Iterator[Class]:
    """Yield the classes of models and trainers among some classes, in the order of their files."""
    for cls in sorted(classes, key=lambda each: (each.module.name, each.node.lineno)):
        bases = list(facts.code.base_names(cls))
        is_model = any(base.endswith((*_MODEL_BASES, "Trainer")) for base in bases)
        if is_model and not facts.stages.infers_by_path(cls.module):
            yield cls


def _engine_in_files(unit: Unit) -> HalfEngine | None:
    """Return the half precision that a file of DeepSpeed turns on."""
    for config in unit.configs:
        for block, precision in BLOCKS.items() if config.read_by == "engine" else ():
            entry = config.find(f"{block}.enabled")
            if entry is not None and entry.value is True:
                return HalfEngine(frozenset([_DTYPES[precision]]), f"{config.name}:{entry.line}")
    return None


def _engine_in_code(facts: Facts, unit: Unit) -> HalfEngine | None:
    """Return the half precisions that configurations in code can turn on: ``{"bf16": {"enabled": True}}``."""
    on: dict[str, Dtype] = {}
    if not unit.calls.get("initialize"):
        return None
    for block, enabled, place in (*_in_arguments(facts, unit), *_in_assignments(unit)):
        is_reached = facts.values.is_reached(place) is not False
        if is_reached and True in facts.values.of(enabled, place):
            on.setdefault(_location(place.module, enabled), _DTYPES[BLOCKS[block]])
    return HalfEngine(frozenset(on.values()), next(iter(on))) if on else None


def _engine_of_accelerate(facts: Facts, unit: Unit) -> HalfEngine | None:
    """Return the half precision that accelerate's file of a run gives to DeepSpeed: ``distributed_type: DEEPSPEED``.

    https://huggingface.co/docs/accelerate/usage_guides/deepspeed
    """
    for run in facts.runs.of(unit):
        named, half = names_engine(facts, run), run.half
        if named is not None and half is not None and run.of("accelerate"):
            location = f"{named}, {half.place}; without DeepSpeed accelerate opens a region instead"
            return HalfEngine(frozenset([_DTYPES[half.value]]), location)
    return None


def _in_arguments(facts: Facts, unit: Unit) -> Iterator[tuple[str, ast.expr, Place]]:
    """Yield the switches of the configurations that calls of ``deepspeed.initialize`` get."""
    for call in unit.calls.get("initialize", []):
        config = call.argument("config") or call.argument("config_params")
        for origin in facts.objects.of(config, call.place).found if config is not None else ():
            for name, block in _items(origin.expression):
                if name in BLOCKS:
                    yield from ((name, value, origin.place) for key, value in _items(block) if key == "enabled")


def _in_assignments(unit: Unit) -> Iterator[tuple[str, ast.expr, Place]]:
    """Yield the switches of blocks that are added to a configuration: ``config["fp16"] = {"enabled": True}``."""
    for module in unit.modules:
        if "enabled" not in module.source.text:
            continue
        for place in module.statements:
            match place.statement:
                case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(name)))], value=block):
                    if name in BLOCKS:
                        yield from ((name, value, place) for key, value in _items(block) if key == "enabled")


def _items(expression: ast.expr) -> list[tuple[str, ast.expr]]:
    """Return the items of a dictionary with texts as keys."""
    if not isinstance(expression, ast.Dict):
        return []
    pairs = zip(expression.keys, expression.values, strict=True)
    return [(key.value, value) for key, value in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def _location(module: Module, node: ast.expr) -> str:
    path, line = module.source.location_of(node.lineno)
    return f"{path}:{line}"
