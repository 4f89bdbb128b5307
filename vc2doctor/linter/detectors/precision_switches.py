"""Switches of mixed precision in configurations: on for a model that was trained in bfloat16, or read by nothing."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import Stage, infers_by_path
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.knowledge.model_families import Family, family_of
from vc2doctor.linter.model import CodeFinding, CodePlace, Edit
from vc2doctor.linter.read.config import Config, ConfigEntry

_SWITCHES = ("fp16", "amp", "use_amp", "use_half_precision")


def float16_switches(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find configurations that switch float16 on for a model that was trained in bfloat16."""
    if not _computes_in_half(facts, unit):
        return
    loaded = [
        load.dtypes for load in facts.weights.trained_loads(unit) if not load.inert and load.dtypes & {BFLOAT, HALF}
    ]
    weights_bf16 = bool(loaded) and all(dtypes == {BFLOAT} for dtypes in loaded)
    copies: dict[tuple[str, str], list[tuple[Config, ConfigEntry, Family | None]]] = defaultdict(list)
    for config in unit.configs:
        entry = _switch_of(config)
        if entry is None or infers_by_path(config.name) or config.get("evaluate") is True:
            continue
        family = _family(config)
        if family is not None and family.trained == "bfloat16":
            copies[entry.key, family.name].append((config, entry, family))
        elif weights_bf16 and family is None and _names_a_language_model(config):
            copies[entry.key, "weights"].append((config, entry, None))
    for places in copies.values():
        yield _switch(unit, places)


def unread_switches(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find switches that no code reads: they say a precision, and decide nothing."""
    if not facts.loops.of(unit):
        return
    settings = {config.name for config in unit.configs}
    code = [module for module in unit.modules if module.name not in settings]
    copies: dict[str, list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        for entry in config.entries if config.kind == "python" else ():
            if entry.key in (*_SWITCHES, "bf16", "use_bf16") and entry.value is True:
                copies[entry.key].append((config, entry))
    for key, places in copies.items():
        if not any(re.search(rf"\b{key}\b", module.source.text) for module in code):
            (config, entry), *rest = places
            yield build.at_entry(
                config,
                entry,
                "VC106",
                Severity.NOTE,
                f"{key} = True, and nothing in this code reads it",
                remedy="Say the precision where the code decides it, and take the key away.",
                also=tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each in rest),
                role="config",
            )


def _computes_in_half(facts: Facts, unit: Unit) -> bool:
    return any(
        HALF in region.dtypes and region.stage is Stage.TRAINS and not region.autocast.off
        for region in facts.autocast.regions
        if facts.code.unit_of(region.place.module) is unit
    )


def _switch_of(config: Config) -> ConfigEntry | None:
    if config.kind == "json" or any(
        entry.key.rpartition(".")[2] in ("bf16", "use_bf16") and entry.value is True for entry in config.entries
    ):
        return None
    return next(
        (entry for entry in config.entries if entry.key.rpartition(".")[2] in _SWITCHES and entry.value is True), None
    )


def _family(config: Config) -> Family | None:
    texts = [entry.value for entry in config.entries if isinstance(entry.value, str)]
    keys = [entry.key.rpartition(".")[2] for entry in config.entries if entry.key.endswith("_model_path")]
    found = [family_of(text) for text in (*keys, *texts) if len(text) < 200]  # noqa: PLR2004 - a path or a name, no prose
    families = [family for family in found if family is not None]
    return next((family for family in families if family.trained == "bfloat16"), families[0] if families else None)


def _names_a_language_model(config: Config) -> bool:
    return any(key in entry.key.lower() for entry in config.entries for key in ("llama", "llm", "vicuna"))


def _switch(unit: Unit, places: list[tuple[Config, ConfigEntry, Family | None]]) -> CodeFinding:
    config, entry, family = places[0]
    also = tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each, _ in places[1:])
    count = f", in {len(places)} configurations" if also else ""
    if family is None:
        message = f"{entry.key} switches float16 autocast on, and the code loads the weights in bfloat16{count}"
    else:
        message = (
            f"{entry.key} is on and no bf16 key is: {family.name}, trained in bfloat16, computes in float16{count}"
        )
    severity = family.severity if family is not None else Severity.WARNING
    edits = tuple(edit for each in places for edit in _edits(unit, each[0], each[1]))
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
        also=also,
        cause="float16",
        if_missed="the switch itself may stay; switching it off removes the scaler, and leaves the helper in float16",
        bf16=edits,
    )


def _edits(unit: Unit, config: Config, entry: ConfigEntry) -> tuple[Edit, ...]:
    if config.kind != "python" or "." in entry.key or not _reads_bf16(unit):
        return ()
    return (
        change.after(
            config.name, entry.line, "bf16 = True  # the dtype; fp16 = True is what switches mixed precision on"
        ),
    )


def _reads_bf16(unit: Unit) -> bool:
    """Say whether the unit's code reads a key ``bf16``."""
    gets = (call for name in ("get", "getattr") for call in unit.calls.get(name, []))
    read = any(isinstance(each, ast.Constant) and each.value == "bf16" for call in gets for each in call.node.args)
    return read or any(
        isinstance(node, ast.Attribute) and node.attr == "bf16"
        for module in unit.modules
        if not infers_by_path(module.name) and "bf16" in module.source.text
        for node in ast.walk(module.source.tree)
    )
