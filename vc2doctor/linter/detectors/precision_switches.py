"""Switches of mixed precision in configurations: on for a model that was trained in bfloat16, or without effect."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.trainer_flags import loads_half, severity_in_float16
from vc2doctor.linter.model import CodeFinding, Edit
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.matrix.model_families import Family, family_of

_SWITCHES = ("fp16", "amp", "use_amp", "use_half_precision")
_BF16_KEYS = ("bf16", "use_bf16")
MAX_NAME_LENGTH = 200
"""Characters of a text in a configuration that can be the name or path of a model; longer texts are prose."""


def float16_switches(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield configurations that turn float16 on for a model that was trained in bfloat16."""
    if not _computes_in_float16(facts, unit):
        return
    weights_are_bf16 = _weights_are_bf16(facts, unit)
    copies: dict[tuple[str, str], list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    families: dict[tuple[str, str], Family | None] = {}
    for config in unit.configs:
        entry = _switch_of(config)
        if entry is None or is_inference_path(config.name) or config.get("evaluate") is True:
            continue
        family = _family_of(config)
        if family is not None and family.trained_in == "bfloat16":
            key = (entry.key, family.name)
        elif weights_are_bf16 and family is None and _mentions_language_model(config):
            key = (entry.key, "weights")
        else:
            continue
        copies[key].append((config, entry))
        families.setdefault(key, family)
    for key, entries in copies.items():
        family = families[key]
        severity = (
            severity_in_float16(family, loads_half=loads_half(facts, unit)) if family is not None else Severity.WARNING
        )
        yield _float16_switch(unit, entries, family, severity)


def _computes_in_float16(facts: Facts, unit: Unit) -> bool:
    return any(
        FLOAT16 in region.dtypes and not region.autocast.is_disabled for region in facts.autocast.training_regions(unit)
    )


def _weights_are_bf16(facts: Facts, unit: Unit) -> bool:
    """Return whether all weights that are loaded in a half precision are loaded in bfloat16."""
    loaded = [
        load.dtypes
        for load in facts.weights.trained_loads(unit)
        if not load.is_inert and load.dtypes & {BFLOAT16, FLOAT16}
    ]
    return bool(loaded) and all(dtypes == {BFLOAT16} for dtypes in loaded)


def _switch_of(config: Config) -> ConfigEntry | None:
    """Return the entry that turns mixed precision on, if the configuration does not select bfloat16."""
    selects_bf16 = any(entry.last_key in _BF16_KEYS and entry.value is True for entry in config.entries)
    if config.read_by == "engine" or selects_bf16:
        return None
    return next((entry for entry in config.entries if entry.last_key in _SWITCHES and entry.value is True), None)


def _family_of(config: Config) -> Family | None:
    """Return the family of models that a configuration names; one that was trained in bfloat16 comes first."""
    keys = [entry.last_key for entry in config.entries if entry.key.endswith("_model_path")]
    texts = [entry.value for entry in config.entries if isinstance(entry.value, str)]
    named = [family_of(text) for text in (*keys, *texts) if len(text) < MAX_NAME_LENGTH]
    families = [family for family in named if family is not None]
    trained_in_bf16 = [family for family in families if family.trained_in == "bfloat16"]
    return next(iter((*trained_in_bf16, *families)), None)


def _mentions_language_model(config: Config) -> bool:
    return any(word in entry.key.lower() for entry in config.entries for word in ("llama", "llm", "vicuna"))


def _float16_switch(
    unit: Unit, entries: list[tuple[Config, ConfigEntry]], family: Family | None, severity: Severity
) -> CodeFinding:
    """Return the finding about a switch and its copies; ``None`` as the family: the code loads bfloat16 weights."""
    (config, entry), *others = entries
    count = f", in {len(entries)} configurations" if others else ""
    if family is None:
        message = f"{entry.key} switches float16 autocast on, and the code loads the weights in bfloat16{count}"
    else:
        message = (
            f"{entry.key} is on and no bf16 key is: {family.name}, trained in bfloat16, computes in float16{count}"
        )
    edits = tuple(edit for config_, entry_ in entries for edit in _added_bf16_key(unit, config_, entry_))
    return build.at_entry(
        config,
        entry,
        "VC106",
        severity,
        message,
        evidence=(family.source,) if family else (),
        remedy=f"Keep {entry.key} as the switch, and say the dtype where the code decides it"
        + (": add bf16 = True beside it." if edits else "; nothing reads a bf16 key here."),
        url="https://github.com/OpenGVLab/Ask-Anything/issues/190",
        role="config",
        also=build.entry_places(others),
        cause="float16",
        if_missed="the switch itself may stay; switching it off removes the scaler, and leaves the helper in float16",
        bf16_edits=edits,
    )


def _added_bf16_key(unit: Unit, config: Config, entry: ConfigEntry) -> tuple[Edit, ...]:
    if config.kind != "python" or "." in entry.key or not _reads_bf16_key(unit):
        return ()
    line = "bf16 = True  # the dtype; fp16 = True is what switches mixed precision on"
    return (change.insert_line(config.name, entry.line, line),)


def _reads_bf16_key(unit: Unit) -> bool:
    """Return whether the code of a unit reads a key ``bf16``."""
    calls = (call for name in ("get", "getattr") for call in unit.calls.get(name, []))
    arguments = (argument for call in calls for argument in call.node.args)
    if any(isinstance(argument, ast.Constant) and argument.value == "bf16" for argument in arguments):
        return True
    return any(
        isinstance(node, ast.Attribute) and node.attr == "bf16"
        for module in unit.modules
        if not is_inference_path(module.name) and "bf16" in module.source.text
        for node in ast.walk(module.source.tree)
    )


def unread_switches(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield switches in Python configurations that no code reads, so that they have no effect."""
    if not facts.loops.of(unit):
        return
    config_names = {config.name for config in unit.configs}
    code = [module for module in unit.modules if module.name not in config_names]
    copies: dict[str, list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        for entry in config.entries if config.kind == "python" else ():
            if entry.key in (*_SWITCHES, *_BF16_KEYS) and entry.value is True:
                copies[entry.key].append((config, entry))
    for key, entries in copies.items():
        if not any(re.search(rf"\b{key}\b", module.source.text) for module in code):
            yield _unread_switch(key, entries)


def _unread_switch(key: str, entries: list[tuple[Config, ConfigEntry]]) -> CodeFinding:
    (config, entry), *others = entries
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.NOTE,
        f"{key} = True, and nothing in this code reads it",
        remedy="Say the precision where the code decides it, and take the key away.",
        also=build.entry_places(others),
        role="config",
    )
