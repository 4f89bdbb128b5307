"""Precision keys that code overwrites or never reaches, so that a configuration or an option has no effect."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.arguments import Argument
from vc2doctor.linter.read.config import Config, ConfigEntry
from vc2doctor.linter.read.launchers.deepspeed import is_deepspeed
from vc2doctor.linter.read.module import Place

_SWITCHES = ("fp16", "bf16", "amp", "use_amp", "use_fp16", "use_bf16", "mixed_precision", "half", "precision")
"""Keys that decide the precision of a run."""
_DOCS_URL = build.AMP_URL

Overwriting = tuple[ast.Constant, Place]
"""A constant that code gives to a key, and where."""


def overwritten_keys(unit: Unit) -> Iterator[CodeFinding]:
    """Yield keys of configurations whose value code replaces by a constant in every run."""
    overwritten = dict(_overwritten(unit))
    copies: dict[str, list[tuple[Config, ConfigEntry]]] = defaultdict(list)
    for config in unit.configs:
        for entry in config.entries if _is_of_code(config) else ():
            if entry.key in overwritten and isinstance(entry.value, bool):
                value = _value_after(unit, config, overwritten[entry.key])
                if value is not None and value is not entry.value:
                    copies[entry.key].append((config, entry))
    for key, entries in copies.items():
        yield _overwritten_key(entries, overwritten[key])


def _is_of_code(config: Config) -> bool:
    """Return whether the project's code reads a file: also JSON that is not DeepSpeed's."""
    is_of_code = config.read_by == "code" or (config.kind == "json" and not is_deepspeed(config))
    return is_of_code and not is_inference_path(config.name)


def _overwritten(unit: Unit) -> Iterator[tuple[str, list[Overwriting]]]:
    """Yield the keys that one function gives constants in every run: without a condition, or in both branches."""
    for module in unit.modules:
        if is_inference_path(module.name):
            continue
        by_key: dict[tuple[str, str], list[Overwriting]] = defaultdict(list)
        for place in module.statements:
            match place.statement:
                case ast.Assign(targets=[ast.Attribute() as target], value=ast.Constant(value=bool()) as value):
                    key = config_key(target)
                    if key in _SWITCHES and not _asks_for(place, key):
                        by_key[place.function.name, key].append((value, place))
        for (function, key), given in by_key.items():
            if function and _covers_every_run(given):
                yield key, given


def _asks_for(place: Place, key: str) -> bool:
    """Return whether a condition around a place asks for the key itself: then its value counts."""
    return any(re.search(rf"\b{key}\b", ast.unparse(condition)) for condition, _ in place.conditions)


def _covers_every_run(given: list[Overwriting]) -> bool:
    conditions = [place.conditions for _, place in given]
    if any(not each for each in conditions):
        return True
    branches = {(ast.dump(each[0][0]), each[0][1]) for each in conditions if len(each) == 1}
    return any((text, not wanted) in branches for text, wanted in branches)


def _value_after(unit: Unit, config: Config, given: list[Overwriting]) -> bool | None:
    """Return the value that a key has in the end; ``None``: only a run can tell."""
    reached = [value.value for value, place in given if _is_reached(unit, config, place)]
    return bool(reached[-1]) if len(set(reached)) == 1 else None


def _is_reached(unit: Unit, config: Config, place: Place) -> bool:
    """Return whether a run with a configuration reaches a place; a key that it lacks has the program's default."""
    for condition, wanted in place.conditions:
        is_negated = isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)
        asked = condition.operand if isinstance(condition, ast.UnaryOp) else condition
        key = config_key(asked)
        if key is None:
            return True
        entry = config.find(key)
        values = [entry.value] if entry is not None else _defaults(unit.arguments.get(key, []))
        if any(bool(value) is not is_negated for value in values) is not wanted:
            return False
    return True


def _defaults(arguments: list[Argument]) -> list[object]:
    return [each.default.value for each in arguments if isinstance(each.default, ast.Constant)]


def _overwritten_key(entries: list[tuple[Config, ConfigEntry]], given: list[Overwriting]) -> CodeFinding:
    (config, entry), *others = entries
    (value, place), *_ = [each for each in given if each[0].value is not entry.value]
    count = f", in {len(entries)} configurations" if others else ""
    return build.at_entry(
        config,
        entry,
        "VC106",
        Severity.WARNING,
        f"{entry.key} is {_shown(entry.value)} here, and the code makes it {_shown(value.value)} in such a run: "
        f"the key has no effect{count}",
        evidence=(f"{build.place_of(place.module, value).location} {ast.unparse(place.statement or value)}",),
        remedy="Remove the key, or let the code keep a value that is given.",
        url=_DOCS_URL,
        also=build.entry_places(others),
        role="config",
    )


def _shown(value: object) -> str:
    return "on" if value else "off"


def unreached_precision(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield assignments of a precision below a condition on a key that nothing sets: the run stays in float32."""
    for module in unit.modules:
        if is_inference_path(module.name):
            continue
        for place in module.statements:
            match place.statement:
                case ast.Assign(targets=[ast.Attribute() as target]):
                    missing = _missing_key(facts, unit, place) if target.attr in _SWITCHES else None
                    if missing is not None and config_key(target) is not None:
                        yield _unreached(place, target, missing)


def _missing_key(facts: Facts, unit: Unit, place: Place) -> str | None:
    """Return the key with a default that keeps a place from being reached, if nothing sets it."""
    for condition, wanted in place.conditions:
        match condition:
            case ast.Call(func=ast.Attribute(value=tree, attr="get"), args=[ast.Constant(value=str(name)), *_]) if (
                wanted
            ):
                prefix = config_key(tree, whole=True)
                key = f"{prefix}.{name}" if prefix else name
                if prefix and _is_configured(unit, prefix) and not _is_set(unit, name):
                    return key if facts.values.truth(condition, place) is False else None
    return None


def _is_configured(unit: Unit, prefix: str) -> bool:
    """Return whether a configuration or a default has keys below a prefix."""
    last = prefix.rpartition(".")[2]
    return any(f"{last}." in f".{entry.key}" for config in unit.configs for entry in config.entries)


def _is_set(unit: Unit, name: str) -> bool:
    in_configs = any(entry.last_key == name for config in unit.configs for entry in config.entries)
    in_flags = any(flag.lstrip("-").rpartition(".")[2] == name for launch in unit.launches for flag in launch.flags)
    return in_configs or in_flags or name in unit.arguments


def _unreached(place: Place, target: ast.Attribute, key: str) -> CodeFinding:
    return build.at_node(
        place.module,
        place.statement or target,
        "VC106",
        Severity.WARNING,
        f"{build.code(target)} is set only if {key} is, and nothing sets {key}: the run keeps its default precision",
        evidence=("no configuration, option or command of this project has the key",),
        remedy=f"Ask for a key that the configurations have, or set {target.attr} in the configuration.",
        url=_DOCS_URL,
        role="config",
    )
