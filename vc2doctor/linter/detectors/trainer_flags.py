"""float16 that is asked of a trainer or of accelerate for a model that was trained in bfloat16."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.trainer_calls import ARGUMENTS_CLASSES
from vc2doctor.linter.knowledge.quantized_names import is_quantized_name
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.module import Call, Module
from vc2doctor.linter.read.run_settings import Precision, Setting
from vc2doctor.matrix.model_families import Family, family_of

TRAINER_URL = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.bf16"
_ACCELERATE_URL = "https://huggingface.co/docs/accelerate/usage_guides/mixed_precision"
_IF_MISSED = "the trainer's autocast is float16, and casts bfloat16 weights to it"
_BITSANDBYTES = ("4bit", "8bit")
"""Quantizations whose compute dtype follows a setting. Other kernels need float16."""


def severity_in_float16(family: Family, *, loads_half: bool) -> Severity:
    """Return the severity of float16 for a family that was trained in bfloat16.

    Over float32 weights and with loss scaling it is coherent, so it is a note; a warning if the family is known to
    overflow. Weights that are themselves loaded in a half precision have no such safety.
    """
    if loads_half:
        return family.severity
    return Severity.WARNING if family.in_float16 == "fails" else Severity.NOTE


def float16_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield float16 flags for models that were trained in bfloat16 or are loaded in it."""
    for name, calls in unit.calls.items():
        if name.endswith(ARGUMENTS_CLASSES):
            yield from (finding for call in calls for finding in _in_call(facts, unit, call))
    seen: set[tuple[str, int]] = set()
    for run in facts.runs.of(unit):
        asked = run.half
        if asked is None or asked.value != "fp16" or run.is_from_call(asked):
            continue
        if (asked.path, asked.line) not in seen:
            seen.add((asked.path, asked.line))
            yield from _in_run(facts, unit, run, asked)
    for config in unit.configs:
        yield from _in_accelerate_config(facts, unit, config)


def loads_half(facts: Facts, unit: Unit, modules: frozenset[Module] = frozenset()) -> bool:
    """Return whether trained weights of a unit are loaded in a half precision; ``modules`` restricts where."""
    return any(
        load.dtypes & {FLOAT16, BFLOAT16} and not load.is_inert and (not modules or load.place.module in modules)
        for load in facts.weights.trained_loads(unit)
    )


def _in_call(facts: Facts, unit: Unit, call: Call) -> Iterator[CodeFinding]:
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
        half_weights = loads_half(facts, unit, facts.code.import_closure(module))
        yield build.at_node(
            module,
            fp16,
            "VC106",
            severity_in_float16(family, loads_half=half_weights),
            _message("fp16", family),
            **_fields(family, "Write bf16=True instead, on an Ampere or newer GPU.", edits),
            role="config",
        )


def _in_run(facts: Facts, unit: Unit, run: Run, asked: Setting[Precision]) -> Iterator[CodeFinding]:
    """Yield the float16 that a command or a configuration asks for, for a model that it names."""
    models = _models(run)
    family = next((family for family in map(family_of, models) if family is not None), None)
    if family is None or family.trained_in != "bfloat16" or _needs_float16(run, models):
        return
    is_flag = asked.text.startswith("--")
    name = asked.text.split()[0].rstrip(":")
    own_weights = any(settings.weights is not None and settings.weights.value != "float32" for settings in run.settings)
    half_weights = own_weights or (bool(run.modules) and loads_half(facts, unit, run.modules))
    remedy = f"Write {asked.text.replace('fp16', 'bf16')} instead, on an Ampere or newer GPU."
    yield build.at_line(
        asked.path,
        asked.line,
        "VC106",
        severity_in_float16(family, loads_half=half_weights),
        _message(name, family),
        **_fields(family, remedy, tuple(_swapped(facts, run, asked))),
        role="launch" if is_flag else "config",
    )


def _models(run: Run) -> list[str]:
    named = [model.value for settings in run.settings for model in settings.models]
    flags = run.launch.flags.items() if run.launch is not None else ()
    return [*named, *(flag.value for name, flag in flags if "model" in name and flag.value is not None)]


def _needs_float16(run: Run, models: list[str]) -> bool:
    """Return whether the base is quantized for kernels that take float16, such as GPTQ's."""
    kinds = [settings.quantization.value for settings in run.settings if settings.quantization is not None]
    return any(is_quantized_name(model) for model in models) or any(kind not in _BITSANDBYTES for kind in kinds)


def _message(flag: str, family: Family) -> str:
    return f"{flag} is asked for {family.name}, which was trained in bfloat16"


def _fields(family: Family, remedy: str, edits: tuple[Edit, ...]) -> dict[str, Any]:
    """Return the fields that the findings about a call and about a run share."""
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


def _swapped(facts: Facts, run: Run, asked: Setting[Precision]) -> Iterator[Edit]:
    """Yield the edits that turn ``fp16`` into ``bf16``, and a ``bf16`` that is off into ``fp16``."""
    if "fp16" not in asked.text or asked.path not in facts.code.files.folders:
        return
    fp16 = _as_written(asked)
    bf16 = fp16.replace("fp16", "bf16")
    yield change.replace_in_line(asked.path, asked.line, fp16, bf16)
    off = _line_of_bf16(facts, run, asked)
    if off is not None and off != asked.line:
        yield change.replace_in_line(asked.path, off, bf16, fp16)


def _as_written(asked: Setting[Precision]) -> str:
    """Return the shortest text that stands for a setting in its line: names of folders can have ``fp16`` in them."""
    if asked.text.startswith("--fp16"):
        return "--fp16"
    if asked.text.startswith("fp16:"):
        return '"fp16"' if asked.path.endswith(".json") else "fp16:"
    return "fp16"


def _line_of_bf16(facts: Facts, run: Run, asked: Setting[Precision]) -> int | None:
    """Return the line of the other switch, which is off, beside the one that asks for float16."""
    if run.launch is not None and asked.path == run.launch.script:
        flag = run.launch.flags.get("--bf16")
        return flag.line if flag is not None else None
    config = next((config for config in facts.code.files.configs if config.name == asked.path), None)
    entry = next((entry for entry in config.entries if entry.key == "bf16"), None) if config is not None else None
    return entry.line if entry is not None else None


def _in_accelerate_config(facts: Facts, unit: Unit, config: Config) -> Iterator[CodeFinding]:
    """Yield a float16 setting of accelerate's own file, if the code loads its weights in bfloat16."""
    settings = facts.runs.settings_of(config)
    entry = config.find("mixed_precision")
    if settings is None or settings.launcher != "accelerate" or entry is None or entry.value != "fp16":
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
