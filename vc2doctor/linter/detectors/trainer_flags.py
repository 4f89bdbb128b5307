"""Flags of transformers' trainer and of accelerate: float16 asked for a model that was trained in bfloat16."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.analyse.values import BFLOAT
from vc2doctor.linter.knowledge.model_families import Family, family_of
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.module import Call, Module
from vc2doctor.linter.read.shell import Launch

URL = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.bf16"
ARGUMENTS = ("TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "Arguments")
_MISSED = "the trainer's autocast is float16, and casts bfloat16 weights to it"


def is_on(value: str | None) -> bool:
    """Say whether a flag of a launch is on: ``--fp16``, ``--fp16 True``."""
    return value is None or value.lower() in ("true", "1", "yes")


def find(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find float16 flags for models that were trained in bfloat16, or are loaded in it."""
    for name, calls in unit.calls.items():
        if name.endswith(ARGUMENTS):
            yield from (found for call in calls for found in _call(facts, call))
    for launch in unit.launches:
        yield from _launch(launch)
    yield from (found for config in unit.configs for found in _accelerate(facts, unit, config))


def _call(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    half, bf16 = call.argument("fp16"), call.argument("bf16")
    module = call.place.module
    if half is None or not facts.values.decide(half, call.place) or infers_by_path(module.name):
        return
    family = _family(module)
    if family is None or family.trained != "bfloat16" or (bf16 is not None and facts.values.decide(bf16, call.place)):
        return
    yield build.at(
        module,
        half,
        "VC106",
        family.severity,
        f"fp16 is asked for {family.name}, which was trained in bfloat16",
        evidence=(family.source,),
        remedy="Write bf16=True instead, on an Ampere or newer GPU.",
        url=URL,
        role="config",
        cause="float16",
        if_missed=_MISSED,
        bf16=(
            change.keyword(module, call.node, "fp16", "False"),
            change.keyword(module, call.node, "bf16", "True"),
        ),
    )


def _family(module: Module) -> Family | None:
    """Return the family of the models that a module names, if it names one only."""
    texts = {
        node.value
        for node in ast.walk(module.source.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[\w.-]+/[\w./-]+", node.value)
    }
    found = {family for family in map(family_of, texts) if family is not None}
    return found.pop() if len(found) == 1 else None


def _launch(launch: Launch) -> Iterator[CodeFinding]:
    half = launch.flags.get("--fp16")
    if half is None or not is_on(half[0]) or infers_by_path(launch.name):
        return
    named = [value for flag, (value, _) in launch.flags.items() if "model" in flag and value is not None]
    family = next((found for found in map(family_of, named) if found is not None), None)
    other = launch.flags.get("--bf16")
    if family is None or family.trained != "bfloat16" or (other is not None and is_on(other[0])):
        return
    yield build.at_line(
        launch.name,
        half[1],
        "VC106",
        family.severity,
        f"--fp16 is asked for {family.name}, which was trained in bfloat16",
        evidence=(family.source,),
        remedy="Write --bf16 True instead, on an Ampere or newer GPU.",
        url=URL,
        role="launch",
        cause="float16",
        if_missed=_MISSED,
        bf16=tuple(_swapped(launch, half, other)),
    )


def _swapped(launch: Launch, half: tuple[str | None, int], other: tuple[str | None, int] | None) -> Iterator[Edit]:
    """Yield the edits of the script's lines: ``--fp16`` becomes ``--bf16``, and a ``--bf16 False`` the reverse."""
    yield change.within(launch.name, half[1], "--fp16", "--bf16")
    if other is not None and other[1] != half[1]:
        yield change.within(launch.name, other[1], "--bf16", "--fp16")


def _accelerate(facts: Facts, unit: Unit, config: Config) -> Iterator[CodeFinding]:
    """Find accelerate's own file that asks for float16 while the code loads bfloat16."""
    entry = config.find("mixed_precision")
    its = any(config.find(key) is not None for key in ("compute_environment", "distributed_type", "num_processes"))
    if entry is None or entry.value != "fp16" or not its:
        return
    loaded = [load.dtypes for load in facts.weights.trained_loads(unit) if not load.inert]
    if loaded and all(dtypes == {BFLOAT} for dtypes in loaded):
        yield build.at_entry(
            config,
            entry,
            "VC106",
            Severity.WARNING,
            "accelerate is told fp16, and the code loads its weights in bfloat16",
            remedy="Write mixed_precision: bf16.",
            url="https://huggingface.co/docs/accelerate/usage_guides/mixed_precision",
            role="config",
            cause="float16",
            if_missed=_MISSED,
            bf16=(change.within(config.name, entry.line, "fp16", "bf16"),),
        )
