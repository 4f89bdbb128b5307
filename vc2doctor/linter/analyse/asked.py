"""What the trainer of a model is asked for: float16 with loss scaling, bfloat16, or an engine with float32 copies."""

import ast
import re
from typing import NamedTuple

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.analyse.loss_scaling import scale_calls, scalers_of
from vc2doctor.linter.analyse.values import FLOAT16
from vc2doctor.linter.read.config import Flag, Launch
from vc2doctor.linter.read.module import Call, Module

ARGUMENTS_CLASSES = ("TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "PPOConfig", "Arguments")
"""Endings of the names of classes that take ``fp16`` and ``bf16`` for transformers' trainer."""
_ENGINE_WORDS = ("deepspeed", "fsdp")
_ENGINE = re.compile(r"^[^#\n]*(deepspeed|fsdp|FullyShardedDataParallel)", re.MULTILINE | re.IGNORECASE)
"""An engine named in code, and not only in a comment."""


class Asked(NamedTuple):
    """What a run asks for. ``None`` in place of a truth: only a run can tell."""

    scales_float16: bool | None
    """Whether the loss is scaled for float16."""
    bf16: bool | None
    has_engine: bool
    """Whether DeepSpeed or FSDP may keep float32 copies of the weights."""
    why: str
    """The place that says so, for the evidence of a finding; ``""``: no place does."""


def asked_of(facts: Facts, trained: Trained) -> Asked:
    """Return what the trainer of a model is asked for."""
    if trained.is_by_trainer:
        return _of_trainer(facts, trained)
    return _of_loop(facts, trained.consumer)


def _of_trainer(facts: Facts, trained: Trained) -> Asked:
    consumer = trained.consumer
    module = consumer.place.module
    arguments = consumer.argument("args") or consumer.argument("config")
    made = list(facts.objects.of(arguments, consumer.place).calls()) if arguments is not None else []
    calls = [call for call in made if call.name.endswith(ARGUMENTS_CLASSES)]
    if not calls:
        return _of_launches(facts, module)
    call = calls[0]
    fp16, bf16 = _truth(facts, call, "fp16"), _truth(facts, call, "bf16")
    engine = call.argument("deepspeed") or call.argument("fsdp")
    line = call.place.module.source.location_of((call.argument("fp16") or call.node).lineno)
    return Asked(
        fp16,
        bf16,
        engine is not None or names_engine(facts, module),
        f"{call.name}(fp16={fp16}, bf16={bf16}) at {line[0]}:{line[1]}",
    )


def _truth(facts: Facts, call: Call, name: str) -> bool | None:
    argument = call.argument(name)
    if argument is not None:
        return facts.values.truth(argument, call.place)
    # `**kwargs` can hold it; the arguments classes of trl have defaults of their own.
    is_open = any(keyword.arg is None for keyword in call.node.keywords) or not call.name.endswith("TrainingArguments")
    return None if is_open else False


def _of_launches(facts: Facts, module: Module) -> Asked:
    unit = facts.code.unit_of(module)
    launches = [launch for launch in unit.launches if _starts(launch, module)]
    has_engine = names_engine(facts, module)
    asking = [launch for launch in launches if _is_on(launch, "fp16")]
    if not launches:
        return Asked(None, None, has_engine, "")
    first: Launch = (asking or launches)[0]
    flag: Flag | None = first.flags.get("--fp16")
    why = f"{first.script}:{flag.line if flag else first.line} --fp16" if asking else f"{first.script}:{first.line}"
    bf16 = any(_is_on(launch, "bf16") for launch in launches)
    return Asked(bool(asking), bf16, has_engine, why)


def _is_on(launch: Launch, name: str) -> bool:
    return launch.turns_on(f"--{name}")


def _starts(launch: Launch, module: Module) -> bool:
    return f"/{module.name}".endswith(f"/{launch.program.lstrip('./')}")


def names_engine(facts: Facts, module: Module) -> bool:
    """Return whether a module, or a launch of a program that imports it, names an engine that keeps float32 copies."""
    if _ENGINE.search(module.source.text):
        return True
    unit = facts.code.unit_of(module)
    for launch in unit.launches:
        if any(word in flag for flag in launch.flags for word in _ENGINE_WORDS):
            programs = [program for program in unit.modules if _starts(launch, program)]
            if not programs or any(module in facts.code.import_closure(program) for program in programs):
                return True
    return False


def _of_loop(facts: Facts, optimizer: Call) -> Asked:
    module = optimizer.place.module
    unit = facts.code.unit_of(module)
    has_engine = names_engine(facts, module)
    for call in unit.calls.get("Accelerator", []):
        precision = call.argument("mixed_precision", 2)
        if call.place.module is module and precision is not None:
            dtypes = facts.values.dtypes(precision, call.place)
            path, line = call.place.module.source.location_of(precision.lineno)
            if dtypes == {FLOAT16}:
                return Asked(True, False, has_engine, f"{path}:{line} mixed_precision={ast.unparse(precision)}")
            return Asked(None, None, has_engine, f"{path}:{line}")
    closure = facts.code.import_closure(module)
    for loop in facts.loops.of(unit):
        if loop.function.module not in closure and module not in facts.code.import_closure(loop.function.module):
            continue
        uses = scale_calls(facts, loop)
        if uses and any(scaler.enabled == {True} for scaler in scalers_of(facts, unit, loop)):
            path, line = uses[0].place.module.source.location_of(uses[0].node.lineno)
            is_always = not uses[0].place.conditions
            return Asked(True if is_always else None, None, has_engine, f"the loss is scaled at {path}:{line}")
    return Asked(None, None, has_engine, "")
