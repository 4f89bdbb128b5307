"""DeepSpeed engines that no clipping value reaches."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.analyse.values import config_key
from vc2doctor.linter.detectors.clipping_keys import CLIP_KEYS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module, last_name


def engines_without_clipping(facts: Facts, unit: Unit, loops: list[Loop]) -> Iterator[CodeFinding]:
    """Find DeepSpeed engines that no clipping value reaches."""
    broken = list(_broken(unit))
    yield from broken
    if any(config.kind == "json" and config.find("gradient_clipping") for config in unit.configs):
        return
    for loop in loops:
        reach = facts.code.import_closure(loop.function.module)
        made = [module for module in unit.modules if module in reach and _makes_engine_config(module)]
        faults = [each for each in broken if any(each.path == module.name for module in made)]
        if not made or (not faults and any("gradient_clipping" in module.source.text for module in made)):
            continue
        for call in loop.backwards:
            receiver = call.node.func.value if isinstance(call.node.func, ast.Attribute) else call.node.func
            if call.node.args and last_name(receiver) in ("model", "engine", "model_engine") and call.place.tests:
                found = build.at(
                    loop.function.module,
                    call.node,
                    "VC105",
                    Severity.WARNING,
                    "under DeepSpeed no clipping reaches the engine: the clipping of this loop is bypassed",
                    evidence=tuple(f"{each.path}:{each.line}: {each.message}" for each in faults)
                    or (f"{made[0].name} writes the engine's configuration without gradient_clipping",),
                    remedy='Give the engine "gradient_clipping" in its configuration.',
                    url="https://www.deepspeed.ai/docs/config-json/#gradient-clipping",
                )
                around = call.place.tests[-1][0]
                yield found.model_copy(update={"line": around.lineno, "end_line": call.node.lineno + 1})


def _makes_engine_config(module: Module) -> bool:
    return "train_micro_batch_size_per_gpu" in module.source.text and not infers_by_path(module.name)


def _broken(unit: Unit) -> Iterator[CodeFinding]:
    for call in unit.calls.get("update", []):
        given = call.node.args[0] if call.node.args else None
        if not isinstance(given, ast.Set) or not any(
            isinstance(each, ast.Constant) and each.value in CLIP_KEYS for each in given.elts
        ):
            continue
        module = call.place.module
        if infers_by_path(module.name):
            continue
        assert isinstance(call.node.func, ast.Attribute)  # noqa: S101 - a method's call
        owner = ast.unparse(call.node.func.value)
        evidence = ["dict.update of a set raises TypeError or ValueError, by which element comes first"]
        start = call.node.lineno
        for test, _ in call.place.tests[-1:]:
            start = test.lineno
            missing = _never_set(unit, test)
            if missing:
                evidence.append(missing)
        key, *values = given.elts
        found = build.at(
            module,
            call.node,
            "VC105",
            Severity.ERROR,
            f"{build.code(call.node)} gives a set where a dict is meant, so the clipping never reaches the engine",
            evidence=tuple(evidence),
            remedy=f"{owner}[{build.code(key)}] = {build.code(values[0]) if values else '…'}",
            url="https://www.deepspeed.ai/docs/config-json/#gradient-clipping",
            safe=(
                change.replace(module, given, f"{{{change.source(module, key)}: {change.source(module, values[0])}}}"),
            )
            if len(values) == 1
            else (),
        )
        yield found.model_copy(update={"line": start})


def _never_set(unit: Unit, test: ast.expr) -> str | None:
    for node in ast.walk(test):
        if (
            isinstance(node, ast.Call)
            and last_name(node.func) == "get"
            and node.args
            and isinstance(node.func, ast.Attribute)
        ):
            root = config_key(node.func.value, whole=True)
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if root == "" and isinstance(name, str):
                exact = [config for config in unit.configs if any(entry.key == name for entry in config.entries)]
                deeper = [
                    entry.key for config in unit.configs for entry in config.entries if entry.key.endswith(f".{name}")
                ]
                if not exact and deeper:
                    return f"it reads {name}, and the configurations define {deeper[0]}: the branch is never taken"
    return None
