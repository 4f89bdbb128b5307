"""The programs of a project that may train in half precision, and what then decides the dtype of their operations."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES, Region
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, Value, as_dtype
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.half_models import engine_loops, engine_of, names_engine, programs_of, why_engine
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.tensor_kinds import Mode
from vc2doctor.linter.analyse.trained_classes import training_modules
from vc2doctor.linter.detectors.possible_settings import dtypes_in_configs, engines_in_commands
from vc2doctor.linter.read.launchers.deepspeed import BLOCKS
from vc2doctor.linter.read.module import Call, Module
from vc2doctor.linter.read.run_settings import HALF

CRITERION_WORDS = frozenset({"loss", "losses", "criterion", "matcher", "criteria"})
"""Words in the names of what computes a loss."""
_FRAMEWORK_SWITCH = re.compile(
    r"AMPTrainer|AmpOptimWrapper|SOLVER\.AMP\b|^\s*fp16 = dict\(|(?<!\w)amp\.initialize\(", re.MULTILINE
)
"""How detectron2, mmengine, mmcv and apex are set to half precision: the framework opens the regions."""
_TRAINER_PRECISION = re.compile(
    r"Trainer\.(?:add_argparse_args|from_argparse_args)\(|trainer\.precision\s*="
    r"|\bTrainer\([^)]*?\bprecision\s*=\s*(?![\"']?32)(?![\"']?64)",
    re.DOTALL,
)
"""An argument of Lightning's trainer that can be a half precision."""


class HalfProgram(NamedTuple):
    """A program that may train in half precision."""

    starts: frozenset[Module]
    """Its modules; what imports them and what they import belongs to it."""
    mode: Mode
    dtypes: frozenset[Value]
    why: str
    """What says so, with a place, as evidence."""
    returns_float32: bool = False
    """Whether a library converts what the model returns to float32, so that a criterion behind it is float32."""
    has_criteria_outside: bool = False
    """Whether its losses are computed outside of the regions that give their inputs."""


_ENGINE_SWITCH = re.compile(
    r"[\"'](fp16|bf16|bfloat16)[\"']\s*\n\s*\w+\s*=\s*\{\s*[\"']enabled[\"']\s*:\s*True"
    r"|DeepSpeedStrategy|[\"'](fp16|bf16)[\"']\s*:\s*(\{\s*[\"']enabled[\"']\s*:\s*(?!False)|\w+\.\w)"
)
"""How code configures DeepSpeed's half precision, also through an attribute that builds the block."""
_OF_DEEPSPEED = re.compile(r"deepspeed|zero_optimization|train_micro_batch_size_per_gpu", re.IGNORECASE)
_PRECISION_KEYS = ("precision", "mixed_precision", "fp16", "bf16", "amp", "use_amp", "use_fp16", "use_bf16")
_HALF_VALUES = frozenset({"16", "fp16", "bf16", "float16", "bfloat16", "16-mixed", "bf16-mixed", "half"})


@lru_cache(maxsize=16)
def half_programs(facts: Facts, unit: Unit) -> tuple[HalfProgram, ...]:
    """Return the programs of a unit that may train in half precision."""
    sources = (_of_regions, _of_runs, _of_flags, _of_engine, _of_sharding, _of_loads, _of_settings, _of_frameworks)
    return tuple(dict.fromkeys(program for source in sources for program in source(facts, unit) if program.starts))


def _of_regions(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the programs around autocast regions that are not known to infer only."""
    for region in facts.autocast.regions:
        module = region.place.module
        is_own = facts.code.unit_of(module) is unit and region.stage is Stage.TRAINS
        if not is_own or region.autocast.is_disabled:
            continue
        dtypes = region.dtypes & HALF_DTYPES
        if dtypes:
            why = f"a program here opens the autocast region at {build.place_of(module, region.call.node).location}"
            outside = _has_criteria_behind(region)
            yield HalfProgram(frozenset([module]), Mode.AUTOCAST, dtypes, why, has_criteria_outside=outside)


def _has_criteria_behind(region: Region) -> bool:
    """Return whether the function of a region computes a loss behind it, and none in it."""
    calls = region.place.module.calls_in(region.place.function)
    losses = [call for call in calls if words(call.name) & CRITERION_WORDS or call.name == "cross_entropy"]
    opened = {item.context_expr for item in region.statement.items}
    inside = [call for call in losses if opened & set(call.place.contexts)]
    behind = [call for call in losses if call.node.lineno > (region.statement.end_lineno or 0)]
    return bool(behind) and not inside


def _of_runs(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield what commands, configurations and calls ask a launcher for."""
    for run in facts.runs.of(unit):
        halves = [setting for setting in run.precisions if setting.value in HALF]
        pure = [settings.pure for settings in run.settings if settings.pure is not None]
        starts = programs_of(run) if run.modules else training_modules(facts, unit)
        engine = names_engine(facts, run)
        dtypes = frozenset(as_dtype(setting.value) for setting in halves) & HALF_DTYPES
        if engine is not None:
            dtypes = dtypes or _dtypes_of_engine(run)
            if dtypes:
                yield HalfProgram(starts, Mode.HALF_MODEL, dtypes, f"a run here gives the model to DeepSpeed: {engine}")
        elif pure:
            dtypes = dtypes or frozenset([as_dtype(pure[0].value)])
            yield HalfProgram(starts, Mode.HALF_MODEL, dtypes & HALF_DTYPES, f"a run here asks for {pure[0].place}")
        elif halves:
            is_cast_back = bool(run.of("accelerate")) or run.is_of_trainer
            why = f"a run here asks for {halves[0].place}"
            yield HalfProgram(starts, Mode.AUTOCAST, dtypes, why, returns_float32=is_cast_back)


def _dtypes_of_engine(run: Run) -> frozenset[Value]:
    """Return the half precisions that DeepSpeed's file of a run turns on or leaves to the trainer."""
    config = run.engine.config if run.engine is not None else None
    entries = {block: config.find(f"{block}.enabled") for block in BLOCKS} if config is not None else {}
    on = {block for block, entry in entries.items() if entry is not None and entry.value is True}
    return frozenset(as_dtype(BLOCKS[block]) for block in on)


def _of_flags(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the unit if a command hands its model to DeepSpeed through a launcher whose settings are not read."""
    for launch in unit.launches:
        flag = launch.flags.get("--deepspeed")
        is_read = flag is None or flag.value is None or flag.value.endswith(".json")
        if not is_read and not launch.program.endswith(".py"):
            starts = training_modules(facts, unit) or frozenset(unit.modules)
            why = f"{launch.script} hands the model to DeepSpeed: --deepspeed {flag.value if flag else ''}"
            yield HalfProgram(starts, Mode.HALF_MODEL, frozenset([FLOAT16, BFLOAT16]), why)
            return


def _of_engine(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the programs with a loop of their own over DeepSpeed's engine."""
    loops = engine_loops(facts, unit)
    engine = engine_of(facts, unit) if loops else None
    if engine is not None:
        starts = frozenset(loop.function.module for loop in loops)
        yield HalfProgram(starts, Mode.HALF_MODEL, frozenset(engine.dtypes), why_engine(engine))


def _of_sharding(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the programs that FSDP shards with half parameters: there is no region, and outputs stay half."""
    for name in ("MixedPrecision", "MixedPrecisionPolicy"):
        for call in unit.calls.get(name, []):
            dtypes = _dtypes(facts, call, "param_dtype")
            if dtypes and facts.stages.of(call.place) is not Stage.INFERS:
                why = f"FSDP computes in half precision: {build.place_of(call.place.module, call.node).location}"
                yield HalfProgram(_importers(facts, unit, call.place.module), Mode.HALF_MODEL, dtypes, why)


def _importers(facts: Facts, unit: Unit, module: Module) -> frozenset[Module]:
    """Return the training modules that import a module, or the module itself."""
    programs = training_modules(facts, unit)
    return frozenset(each for each in programs if module in facts.code.import_closure(each)) or frozenset([module])


def _dtypes(facts: Facts, call: Call, name: str) -> frozenset[Value]:
    argument = call.argument(name)
    return facts.values.dtypes(argument, call.place) & HALF_DTYPES if argument is not None else frozenset()


def _of_loads(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the programs that load half weights and train them, without a region of their own or of a trainer."""
    regions = {region.place.module for region in facts.autocast.regions if not region.autocast.is_disabled}
    protected = {module for run in facts.runs.of(unit) for module in run.modules if run.half is not None}
    loads = ((load.place, load.node, load.dtypes) for load in facts.weights.trained_loads(unit))
    casts = (
        (cast.call.place, cast.call.node, cast.dtypes)
        for cast in facts.weights.casts
        if cast.is_of_module and not cast.is_of_frozen and facts.code.unit_of(cast.call.place.module) is unit
    )
    programs = training_modules(facts, unit)
    for place, node, dtypes in (*loads, *casts):
        module = place.module
        has_region = module in protected or bool(regions & facts.code.import_closure(module))
        is_trained = facts.stages.of(place) is Stage.TRAINS and module in programs
        if dtypes & HALF_DTYPES and not has_region and is_trained:
            why = f"weights are made half precision at {build.place_of(module, node).location}"
            yield HalfProgram(frozenset([module]), Mode.HALF_MODEL, dtypes & HALF_DTYPES, why)


def _of_settings(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the programs that commands and configurations make half as a whole."""
    for setting in (*engines_in_commands(unit), *dtypes_in_configs(facts, unit)):
        yield HalfProgram(setting.starts, Mode.HALF_MODEL, frozenset(setting.dtypes), setting.why)


def _of_frameworks(facts: Facts, unit: Unit) -> Iterator[HalfProgram]:
    """Yield the unit if a framework opens its regions or casts its model: then any module of it may be run so."""
    found = [(mode, *each) for mode, pattern in _SWITCHES for each in _mentions(facts, unit, pattern)]
    starts = training_modules(facts, unit) or frozenset(unit.modules)
    for mode, module, line in found:
        has_engine = mode is Mode.AUTOCAST or any(_OF_DEEPSPEED.search(each.source.text) for each in unit.modules)
        if has_engine:
            path, number = module.source.location_of(line)
            why = f"{path}:{number} can turn half precision on"
            yield HalfProgram(starts | {module}, mode, frozenset([FLOAT16, BFLOAT16]), why)
            return
    entry = next(_half_entries(unit), None)
    if entry is not None:
        why = f"{entry} asks for half precision"
        is_of_accelerate = "mixed_precision" in entry
        dtypes = frozenset([FLOAT16, BFLOAT16])
        yield HalfProgram(starts, Mode.AUTOCAST, dtypes, why, returns_float32=is_of_accelerate)


def _mentions(facts: Facts, unit: Unit, pattern: re.Pattern[str]) -> Iterator[tuple[Module, int]]:
    """Yield the first mention of a switch in each module of a unit that trains, with its line."""
    for module in unit.modules:
        found = pattern.search(module.source.text)
        if found is not None and not facts.stages.infers_by_path(module):
            yield module, module.source.text.count("\n", 0, found.start()) + 1


def _half_entries(unit: Unit) -> Iterator[str]:
    """Yield the keys of configurations that name a half precision, for programs that read them through Hydra."""
    for config in unit.configs:
        for entry in config.entries:
            is_key = entry.key.rpartition(".")[2] in _PRECISION_KEYS
            if is_key and (entry.value is True or str(entry.value) in _HALF_VALUES):
                yield f"{config.name}:{entry.line} {entry.key}: {entry.value}"


_SWITCHES = (
    (Mode.HALF_MODEL, _ENGINE_SWITCH),
    (Mode.AUTOCAST, _FRAMEWORK_SWITCH),
    (Mode.AUTOCAST, _TRAINER_PRECISION),
)
