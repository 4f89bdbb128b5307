"""What the trainer of a model is asked for: float16 with loss scaling, bfloat16, or an engine with float32 copies."""

import ast
import re
from typing import NamedTuple

from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.loss_scaling import scale_calls, scalers_of
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.trainer_calls import ARGUMENTS_CLASSES
from vc2doctor.linter.model import CodePlace
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.launchers.deepspeed import is_deepspeed
from vc2doctor.linter.read.module import Call, Module

_ENGINE = re.compile(r"^[^#\n]*(deepspeed|fsdp|FullyShardedDataParallel)", re.MULTILINE | re.IGNORECASE)
"""An engine named in code, and not only in a comment."""

_IN_CODE = re.compile(r"^\s*(import|from) deepspeed|FullyShardedDataParallel|fully_shard", re.MULTILINE)
"""An engine that code makes itself, beside the option of a trainer."""

_ENGINE_FLAG = "--deepspeed"
_ENGINE_KINDS = ("DEEPSPEED", "FSDP")
_FRAMEWORKS = frozenset({"swift", "axolotl", "llamafactory-cli", "xtuner"})
"""Commands that start a framework's own program, and no module of the project."""
_ENGINE_BLOCKS = ("fsdp_config", "deepspeed_config")
"""Kinds of run and blocks in a file of accelerate: https://huggingface.co/docs/accelerate/package_reference/cli"""


class Asked(NamedTuple):
    """What a run asks for. ``None`` in place of a truth: only a run can tell."""

    scales_float16: bool | None
    """Whether the loss is scaled for float16."""
    bf16: bool | None
    has_engine: bool
    """Whether DeepSpeed or FSDP may keep float32 copies of the weights."""
    why: str
    """The place that says so, for the evidence of a finding; ``""``: no place does."""
    place: CodePlace | None = None
    """That place, where it is in code."""


def asked_of(facts: Facts, trained: Trained) -> Asked:
    """Return what the trainer of a model is asked for."""
    if trained.is_by_trainer:
        return _of_trainer(facts, trained)
    return _of_loop(facts, trained.consumer)


def _of_trainer(facts: Facts, trained: Trained) -> Asked:
    consumer = trained.consumer
    module = consumer.place.module
    arguments = consumer.argument("args", 1 if consumer.name == "Trainer" else None) or consumer.argument("config")
    made = list(facts.objects.of(arguments, consumer.place).calls()) if arguments is not None else []
    calls = [call for call in made if call.name.endswith(ARGUMENTS_CLASSES)]
    if not calls:
        return _of_runs(facts, module)
    call = calls[0]
    fp16, bf16 = _truth(facts, call, "fp16"), _truth(facts, call, "bf16")
    engines = [argument for name in ("deepspeed", "fsdp") if (argument := call.argument(name)) is not None]
    path, line = call.place.module.source.location_of((call.argument("fp16") or call.node).lineno)
    why = f"{call.name}(fp16={fp16}, bf16={bf16}) at {path}:{line}"
    place = CodePlace(path=path, line=line, end_line=line)
    return Asked(fp16, bf16, _has_engine(facts, call, engines), why, place)


def _has_engine(facts: Facts, call: Call, engines: list[ast.expr]) -> bool:
    """Return whether a trainer gets an engine in every run, as far as its arguments and the runs say."""
    module = call.place.module
    is_optional = bool(engines) and all(None in facts.values.of(engine, call.place) for engine in engines)
    if not is_optional or _IN_CODE.search(module.source.text):
        return bool(engines) or names_engine(facts, module)
    runs = [run for run in _launched(facts, module) if module in run.modules]
    if not runs:
        # No command that starts the program is known. If DeepSpeed has a configuration here, some run uses it.
        return any(is_deepspeed(config) for config in facts.code.files.configs)
    return all(_uses_engine(facts, run) for run in runs)


def has_optional_engine(facts: Facts, trained: Trained) -> bool:
    """Return whether an option gives a trainer its engine, and no known command gives that option."""
    consumer = trained.consumer
    arguments = consumer.argument("args", 1 if consumer.name == "Trainer" else None) or consumer.argument("config")
    made = facts.objects.of(arguments, consumer.place).calls() if arguments is not None else ()
    for call in (call for call in made if call.name.endswith(ARGUMENTS_CLASSES)):
        engines = [engine for name in ("deepspeed", "fsdp") if (engine := call.argument(name)) is not None]
        is_optional = bool(engines) and all(_can_be_off(facts, engine, call) for engine in engines)
        runs = [run for run in _launched(facts, call.place.module) if call.place.module in run.modules]
        if is_optional and not _IN_CODE.search(call.place.module.source.text):
            return not any(_uses_engine(facts, run) for run in runs)
    return False


def _can_be_off(facts: Facts, engine: ast.expr, call: Call) -> bool:
    """Return whether an option for an engine can be ``None`` or ``""``."""
    return bool(facts.values.of(engine, call.place) & {None, ""})


def always_has_engine(facts: Facts, module: Module) -> bool:
    """Return whether a module names an engine itself, or each known command that starts it does."""
    runs = [run for run in _launched(facts, module) if module in run.modules]
    return _ENGINE.search(module.source.text) is not None or (
        bool(runs) and all(_uses_engine(facts, run) for run in runs)
    )


def _truth(facts: Facts, call: Call, name: str) -> bool | None:
    argument = call.argument(name)
    if argument is not None:
        return facts.values.truth(argument, call.place)
    # `**kwargs` can hold it; the arguments classes of trl have defaults of their own, and bf16 is True in new ones.
    is_told = name == "fp16" and call.argument("bf16") is not None
    is_of_trl = not call.name.endswith("TrainingArguments") and not is_told
    is_open = any(keyword.arg is None for keyword in call.node.keywords) or is_of_trl
    return None if is_open else False


def _of_runs(facts: Facts, module: Module) -> Asked:
    """Return what the runs ask for that start a program which imports a module."""
    settings = [setting for run in _runs_of(facts, module) for setting in run.precisions]
    has_engine = names_engine(facts, module)
    if not settings:
        silent = _silent_launch(facts, module)
        if silent is not None:
            why = f"{silent.script}:{silent.line} asks for no precision, so the trainer computes without autocast"
            return Asked(scales_float16=False, bf16=False, has_engine=has_engine, why=why)
        return Asked(scales_float16=None, bf16=None, has_engine=has_engine, why="")
    asking = [setting for setting in settings if setting.value == "fp16"]
    bf16 = any(setting.value == "bf16" for setting in settings)
    why = (asking or settings)[0].place
    return Asked(scales_float16=bool(asking), bf16=bf16, has_engine=has_engine, why=why)


def _runs_of(facts: Facts, module: Module) -> list[Run]:
    unit = facts.code.unit_of(module)
    return [run for run in facts.runs.of(unit) if run.launch is not None and module in run.modules]


def _silent_launch(facts: Facts, module: Module) -> Launch | None:
    """Return the command that trains with a module, if none of these commands says anything about precision.

    accelerate can have a precision in a file of the user, and a command without a folder for its output is cut short.
    """
    launches = [run.launch for run in _runs_of(facts, module) if run.launch is not None]
    training = [launch for launch in launches if "--output_dir" in launch.flags and "--do_predict" not in launch.flags]
    return None if not training or any(_says_more(launch) for launch in training) else training[0]


def _says_more(launch: Launch) -> bool:
    """Return whether a command can get a precision from a flag, from accelerate or from a file of arguments."""
    values = {flag.value for flag in launch.flags.values()}
    has_file = any(path not in values for path in launch.config_paths)
    return launch.launcher == "accelerate" or has_file or bool({"--fp16", "--bf16"} & set(launch.flags))


def names_engine(facts: Facts, module: Module) -> bool:
    """Return whether a module, or a run of a program that imports it, names an engine that keeps float32 copies."""
    if _ENGINE.search(module.source.text):
        return True
    return any(_uses_engine(facts, run) for run in _launched(facts, module))


def _launched(facts: Facts, module: Module) -> list[Run]:
    """Return the runs with a command that start a program which imports a module, or a program that is not known."""
    unit = facts.code.unit_of(module)
    importers = (each for each in unit.modules if module in facts.code.import_closure(each))
    names = frozenset(each.name.rpartition("/")[2] for each in importers)
    return [
        run
        for run in facts.runs.of(unit)
        if run.launch is not None and (module in run.modules or _is_open(run, run.launch, names))
    ]


def _is_open(run: Run, launch: Launch, names: frozenset[str]) -> bool:
    """Return whether it is not known which modules a command runs, and no framework runs its own.

    A program that is not in the project, and has another file name than all ``names``, is another one.
    """
    program = launch.program.rpartition("/")[2]
    is_other = program.endswith(".py") and program not in names
    return not run.modules and launch.launcher not in _FRAMEWORKS and not is_other


def _uses_engine(facts: Facts, run: Run) -> bool:
    """Return whether a run names an engine, or a configuration that may be one and cannot be read.

    A file of accelerate names it as the kind of run, or has a block for it.
    """
    if run.launch is not None and _ENGINE_FLAG in run.launch.flags:
        return True
    for settings in run.of("accelerate"):
        kind = facts.runs.entry(settings.path, "distributed_type")
        has_block = any(key.startswith(_ENGINE_BLOCKS) for key in facts.runs.keys_of(settings.path))
        if has_block or (kind is not None and kind.value in _ENGINE_KINDS):
            return True
    return run.engine is not None or any(
        settings.engine is not None or "deepspeed" in settings.unknown for settings in run.settings
    )


def _of_loop(facts: Facts, optimizer: Call) -> Asked:
    """Return what the loop of an optimizer asks for: by accelerate's object, or by the scaler that the loop uses."""
    module = optimizer.place.module
    unit = facts.code.unit_of(module)
    has_engine = names_engine(facts, module)
    for call in unit.calls.get("Accelerator", []):
        precision = call.argument("mixed_precision", 2)
        if call.place.module is module and precision is not None:
            dtypes = facts.values.dtypes(precision, call.place)
            path, line = call.place.module.source.location_of(precision.lineno)
            is_float16 = True if dtypes == {FLOAT16} else None
            why = f"{path}:{line} mixed_precision={ast.unparse(precision)}"
            return Asked(scales_float16=is_float16, bf16=None, has_engine=has_engine, why=why)
    closure = facts.code.import_closure(module)
    for loop in facts.loops.of(unit):
        if loop.function.module not in closure and module not in facts.code.import_closure(loop.function.module):
            continue
        uses = scale_calls(facts, loop)
        if uses and any(scaler.enabled == {True} for scaler in scalers_of(facts, unit, loop)):
            path, line = uses[0].place.module.source.location_of(uses[0].node.lineno)
            is_always = None if uses[0].place.conditions else True
            why = f"the loss is scaled at {path}:{line}"
            return Asked(scales_float16=is_always, bf16=None, has_engine=has_engine, why=why)
    return Asked(scales_float16=None, bf16=None, has_engine=has_engine, why="")
