"""Clipping that waits for a key of the configuration which nothing in the project sets."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL
from vc2doctor.linter.detectors.half_loops import why_half
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_ABOUT_CLIPPING = re.compile(r"clip|max_(grad_)?norm|grad_norm")


def clipping_key_is_unset(facts: Facts, unit: Unit, loop: Loop) -> Iterator[CodeFinding]:
    """Yield clippings of a half-precision loop that need a key which no file, code or command has (VC105)."""
    for call in loop.function.module.calls_in(loop.function):
        key = _needed_key(call) if call.name in CLIPPING_CALLS else None
        why = why_half(facts, loop) if key is not None and not _is_set(facts, unit, key) else None
        if key is not None and why is not None:
            yield build.at_node(
                call.place.module,
                call.node,
                "VC105",
                Severity.WARNING,
                f"{key} is set nowhere in this project, so nothing is clipped, in half precision",
                evidence=(why, f"needed by: if {_condition(call)}"),
                remedy=f"Set {key} to a positive limit in the configurations, for example 1.0.",
                url=CLIPPING_URL,
            )
            return


def _needed_key(clipping: Call) -> str | None:
    """Return the key that a configuration must have for a clipping to run: ``if "max_norm" in config:``."""
    for condition, wanted in clipping.place.conditions:
        for node in ast.walk(condition) if wanted else ():
            match node:
                case ast.Compare(left=ast.Constant(value=str(key)), ops=[ast.In()]):
                    pass
                case ast.Call(func=ast.Name(id="hasattr"), args=[_, ast.Constant(value=str(key))]):
                    pass
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key))]):
                    pass
                case _:
                    continue
            if _ABOUT_CLIPPING.search(key):
                return key
    return None


def _is_set(facts: Facts, unit: Unit, key: str) -> bool:
    """Return whether a file, an assignment, a keyword or a flag gives the key a value: it can be out of any of them."""
    if key in unit.arguments or any(key in config_entry for config_entry in _keys(facts)):
        return True
    if any(f"--{key}" in launch.flags or key in launch.flags for launch in facts.code.files.launches):
        return True
    given = re.compile(rf"\b{re.escape(key)}\b[\"']?\]?\s*(=(?!=)|:)")
    if any(given.search(module.source.text) for module in facts.code.files.modules.values()):
        return True
    return any(key.encode() in data for data in facts.code.files.texts.values())


def _keys(facts: Facts) -> Iterator[list[str]]:
    return (entry.key.split(".") for config in facts.code.files.configs for entry in config.entries)


def _condition(clipping: Call) -> str:
    condition, _ = clipping.place.conditions[-1]
    return build.code(condition)
