"""Flags of transformers' trainer and of accelerate that ask for float16 for a model that was trained in bfloat16."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.values import BFLOAT16
from vc2doctor.linter.knowledge.model_families import Family, family_of
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import Config, Flag, Launch
from vc2doctor.linter.read.module import Call, Module

TRAINER_URL = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.bf16"
ARGUMENTS_CLASSES = ("TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig", "Arguments")
"""Endings of the names of classes that take ``fp16`` and ``bf16`` for transformers' trainer."""
_ACCELERATE_URL = "https://huggingface.co/docs/accelerate/usage_guides/mixed_precision"
_IF_MISSED = "the trainer's autocast is float16, and casts bfloat16 weights to it"


def float16_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield float16 flags for models that were trained in bfloat16 or are loaded in it."""
    for name, calls in unit.calls.items():
        if name.endswith(ARGUMENTS_CLASSES):
            yield from (finding for call in calls for finding in _in_call(facts, call))
    for launch in unit.launches:
        yield from _in_launch(launch)
    for config in unit.configs:
        yield from _in_accelerate_config(facts, unit, config)


def _in_call(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    fp16, bf16 = call.argument("fp16"), call.argument("bf16")
    module = call.place.module
    if fp16 is None or not facts.values.truth(fp16, call.place) or is_inference_path(module.name):
        return
    family = _only_family(module)
    bf16_is_on = bf16 is not None and facts.values.truth(bf16, call.place)
    if family is not None and family.trained_in == "bfloat16" and not bf16_is_on:
        edits = (
            (change.rename_keyword(module, call.node, "fp16", "bf16"),)
            if bf16 is None
            else (
                change.set_keyword(module, call.node, "fp16", "False"),
                change.set_keyword(module, call.node, "bf16", "True"),
            )
        )
        yield build.at_node(
            module,
            fp16,
            "VC106",
            family.severity,
            _message("fp16", family),
            **_fields(family, "Write bf16=True instead, on an Ampere or newer GPU.", edits),
            role="config",
        )


def _in_launch(launch: Launch) -> Iterator[CodeFinding]:
    fp16, bf16 = launch.flags.get("--fp16"), launch.flags.get("--bf16")
    if fp16 is None or not fp16.is_on or is_inference_path(launch.script):
        return
    models = [flag.value for name, flag in launch.flags.items() if "model" in name and flag.value is not None]
    family = next((family for family in map(family_of, models) if family is not None), None)
    if family is not None and family.trained_in == "bfloat16" and not (bf16 is not None and bf16.is_on):
        yield build.at_line(
            launch.script,
            fp16.line,
            "VC106",
            family.severity,
            _message("--fp16", family),
            **_fields(
                family,
                "Write --bf16 True instead, on an Ampere or newer GPU.",
                tuple(_swapped_flags(launch.script, fp16, bf16)),
            ),
            role="launch",
        )


def _message(flag: str, family: Family) -> str:
    return f"{flag} is asked for {family.name}, which was trained in bfloat16"


def _fields(family: Family, remedy: str, edits: tuple[Edit, ...]) -> dict[str, Any]:
    """Return the fields that the findings about a call and about a launch share."""
    return {
        "evidence": (family.source,),
        "remedy": remedy,
        "url": TRAINER_URL,
        "cause": "float16",
        "if_missed": _IF_MISSED,
        "bf16_edits": edits,
    }


def _only_family(module: Module) -> Family | None:
    """Return the family of the models that a module names (``owner/model``), if they are of one family."""
    names = {
        node.value
        for node in ast.walk(module.source.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"[\w.-]+/[\w./-]+", node.value)
    }
    families = {family for family in map(family_of, names) if family is not None}
    return families.pop() if len(families) == 1 else None


def _swapped_flags(script: str, fp16: Flag, bf16: Flag | None) -> Iterator[Edit]:
    """Yield the edits that turn ``--fp16`` into ``--bf16``, and a ``--bf16 False`` into ``--fp16 False``."""
    yield change.replace_in_line(script, fp16.line, "--fp16", "--bf16")
    if bf16 is not None and bf16.line != fp16.line:
        yield change.replace_in_line(script, bf16.line, "--bf16", "--fp16")


def _in_accelerate_config(facts: Facts, unit: Unit, config: Config) -> Iterator[CodeFinding]:
    """Yield a float16 setting of accelerate's own file, if the code loads its weights in bfloat16."""
    entry = config.find("mixed_precision")
    is_of_accelerate = any(
        config.find(key) is not None for key in ("compute_environment", "distributed_type", "num_processes")
    )
    if entry is None or entry.value != "fp16" or not is_of_accelerate:
        return
    loaded = [load.dtypes for load in facts.weights.trained_loads(unit) if not load.is_inert]
    if loaded and all(dtypes == {BFLOAT16} for dtypes in loaded):
        yield build.at_entry(
            config,
            entry,
            "VC106",
            Severity.WARNING,
            "accelerate is told fp16, and the code loads its weights in bfloat16",
            remedy="Write mixed_precision: bf16.",
            url=_ACCELERATE_URL,
            role="config",
            cause="float16",
            if_missed=_IF_MISSED,
            bf16_edits=(change.replace_in_line(config.name, entry.line, "fp16", "bf16"),),
        )
