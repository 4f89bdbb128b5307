"""Two keys that decide one precision, with defaults that disagree.

**What it does.** Reports keys about bfloat16 (`bf16`, `llm_bf16`) that code reads in several places and whose effective
values differ, or agree only by a default.

**Why is this bad.** A default in code is the value of every configuration that lacks the key. Stage 4 of VideoChat2
reads `bf16` with the default True in its trainer and `llm_bf16` with the default False in its model. The shipped
configuration sets neither, so the outer region is bfloat16 and the language model is loaded in float16.

**Example**

    # trainer
    if config.get("bf16", True): dtype = torch.bfloat16
    # model
    self.llm_bf16 = config.get("llm_bf16", False)

**Use instead**

    self.llm_bf16 = config.get("llm_bf16", True)     # or one key for both

**How to fix.** Read one key in both places, or give both the same default. To keep a line, add `# vc2doctor:
ignore[VC114]`.

**Quiet.** No finding where a configuration sets both alike, and where the defaults agree.

**References**

* https://github.com/OpenGVLab/Ask-Anything/blob/main/video_chat2/tasks/train_it_ds.py
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path, words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.module import Call


class KeyRead(NamedTuple):
    """A call that reads a key of a configuration with a default: ``config.get("bf16", True)``."""

    call: Call
    key: str
    default: bool
    default_node: ast.expr


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield keys about bfloat16 whose effective values disagree, or agree only by a default."""
    for unit in facts.code.units.values():
        reads: dict[str, list[KeyRead]] = defaultdict(list)
        for read in _bf16_reads(unit):
            reads[read.key].append(read)
        effective = {key: _effective_value(unit, key, key_reads) for key, key_reads in reads.items()}
        on = [key for key, value in effective.items() if value is True]
        off = [key for key, value in effective.items() if value is False and on]
        for key in off:
            yield _disagreement(reads[key][0], reads[on[0]][0])
        if not off:
            yield from _unset_keys(unit, reads)


def _code_configs(unit: Unit) -> list[Config]:
    """Return the configurations that the unit's own code reads."""
    return [config for config in unit.configs if config.read_by == "code"]


def _bf16_reads(unit: Unit) -> Iterator[KeyRead]:
    for call in unit.calls.get("get", []):
        match call.node.args:
            case [ast.Constant(value=str(key)), ast.Constant(value=bool(default)) as default_node] if _is_of_config(
                call
            ):
                is_about_bf16 = words(key.replace("_", " ")) & {"bf", "bfloat"}
                if is_about_bf16 and not is_inference_path(call.place.module.name):
                    yield KeyRead(call, key, default, default_node)


def _is_of_config(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and config_key(call.node.func.value, whole=True) is not None


def _effective_value(unit: Unit, key: str, reads: list[KeyRead]) -> bool | None:
    """Return the value that a key has in every configuration and by every default; ``None``: it varies."""
    entries = [config.find(key) for config in _code_configs(unit)]
    configured = [entry.value for entry in entries if entry is not None]
    if not all(isinstance(value, bool) for value in configured):
        return None
    values = set(configured)
    if not configured or None in entries:
        # A configuration that lacks the key takes the default.
        values |= {read.default for read in reads}
    return values.pop() if len(values) == 1 else None


def _disagreement(off: KeyRead, on: KeyRead) -> CodeFinding:
    module = off.call.place.module
    return build.at_node(
        module,
        off.call.node,
        "VC114",
        Severity.ERROR,
        f"{off.key} is off by default and {on.key} is on by default, although both decide one precision",
        evidence=(
            f"{on.key} is {on.default} at {build.place_of(on.call.place.module, on.call.node).location}",
            "no configuration sets both to the same value",
        ),
        remedy=f"Read one key in both places, or make the default of {off.key} True.",
        role="weights",
        cause="float16",
        if_missed="the weights are loaded in float16 under a bfloat16 region",
        bf16_edits=(change.replace_expression(module, off.default_node, "True"),),
    )


def _unset_keys(unit: Unit, reads: dict[str, list[KeyRead]]) -> Iterator[CodeFinding]:
    """Yield keys that no configuration sets, if one sets another key: a change of that key leaves them as they are."""
    configured = [key for key in reads if any(config.find(key) for config in _code_configs(unit))]
    for key, (first, *_) in reads.items():
        if configured and key not in configured:
            yield build.at_node(
                first.call.place.module,
                first.call.node,
                "VC114",
                Severity.NOTE,
                f"{key} is not set by any configuration, while {configured[0]} is: they agree only because the default of {key} is {first.default}",
                remedy=f"Read {configured[0]} here as well.",
            )
