"""Two keys decide one precision, and their defaults disagree.

**Why.** VideoChat2's stage 4 reads `bf16` with the default True in its trainer and `llm_bf16` with the default False in
its model; the shipped configuration sets neither, so the outer region is bfloat16 and the language model is loaded in
float16. A default in code is the effective value of every configuration that lacks the key.

**Bad**

    # trainer
    if config.get("bf16", True): dtype = torch.bfloat16
    # model
    self.llm_bf16 = config.get("llm_bf16", False)

**Good**

    self.llm_bf16 = config.get("llm_bf16", True)     # or one key for both

**Quiet** where a configuration sets both alike, and where the defaults agree.

**Silence** a line with `# vc2doctor: ignore[VC114]`.

**Since** this is no matter of versions.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path, words
from vc2doctor.linter.analyse.values import config_key
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call


class _Reading(NamedTuple):
    call: Call
    key: str
    default: bool
    node: ast.expr


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find keys about bfloat16 whose effective values disagree."""
    for unit in facts.code.units.values():
        by_key: dict[str, list[_Reading]] = defaultdict(list)
        for reading in _readings(unit):
            by_key[reading.key].append(reading)
        effective = {key: _effective(unit, readings) for key, readings in by_key.items()}
        on = [key for key, value in effective.items() if value is True]
        against = [key for key in by_key if effective[key] is False and on]
        for key in against:
            yield _finding(by_key[key][0], by_key[on[0]][0])
        if not against:
            yield from _apart(unit, by_key)


def _apart(unit: Unit, by_key: dict[str, list[_Reading]]) -> Iterator[CodeFinding]:
    """Find keys that no configuration sets, beside one that some set: a change of the one leaves the other."""
    configured = [key for key in by_key if any(config.find(key) for config in unit.configs if config.kind != "json")]
    for key, readings in by_key.items():
        if configured and key not in configured:
            module = readings[0].call.place.module
            yield build.at(
                module,
                readings[0].call.node,
                "VC114",
                Severity.NOTE,
                f"{key} is set by no configuration, and {configured[0]} is: the two agree only by {key}'s default, {readings[0].default}",
                remedy=f"Read {configured[0]} here as well.",
            )


def _readings(unit: Unit) -> Iterator[_Reading]:
    for call in unit.calls.get("get", []):
        match call.node.args:
            case [ast.Constant(value=str(key)), ast.Constant(value=bool(default)) as node] if _is_of_config(call):
                if words(key.replace("_", " ")) & {"bf", "bfloat"} and not infers_by_path(call.place.module.name):
                    yield _Reading(call, key, default, node)


def _is_of_config(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and config_key(call.node.func.value, whole=True) is not None


def _effective(unit: Unit, readings: list[_Reading]) -> bool | None:
    """Return what a key is in every configuration and by every default; ``None``: it varies."""
    found = {reading.default for reading in readings}
    entries = [config.find(readings[0].key) for config in unit.configs if config.kind != "json"]
    given = [entry.value for entry in entries if entry is not None]
    if not all(isinstance(value, bool) for value in given):
        return None
    values = set(given) if given and None not in entries else {*given, *found}
    return values.pop() if len(values) == 1 else None


def _finding(off: _Reading, on: _Reading) -> CodeFinding:
    module = off.call.place.module
    return build.at(
        module,
        off.call.node,
        "VC114",
        Severity.ERROR,
        f"{off.key} is off by default and {on.key} is on: two keys decide one precision, and disagree",
        evidence=(
            f"{on.key} is {on.default} at {build.place(on.call.place.module, on.call.node).location}",
            "no configuration sets both alike",
        ),
        remedy=f"Read one key in both places, or make the default of {off.key} True.",
        role="weights",
        cause="float16",
        if_missed="the weights are loaded in float16 under a bfloat16 region",
        bf16=(change.replace(module, off.node, "True"),),
    )
