"""DeepSpeed engines that get no limit for gradient clipping."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.config_keys import config_key
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_KEYS
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, last_name

_URL = "https://www.deepspeed.ai/docs/config-json/#gradient-clipping"


def engines_without_clipping(facts: Facts, unit: Unit, loops: list[Loop]) -> Iterator[CodeFinding]:
    """Yield updates of an engine's configuration that raise, and loops whose engine gets no limit."""
    updates = list(_updates_with_a_set(unit))
    yield from updates
    if any(config.read_by == "engine" and config.find("gradient_clipping") for config in unit.configs):
        return
    for loop in loops:
        imported_modules = facts.code.import_closure(loop.function.module)
        writers = [module for module in unit.modules if module in imported_modules and _writes_engine_config(module)]
        failed = [update for update in updates if any(update.path == module.name for module in writers)]
        has_limit = not failed and any("gradient_clipping" in module.source.text for module in writers)
        if writers and not has_limit and _clips(loop):
            evidence = tuple(f"{update.path}:{update.line}: {update.message}" for update in failed) or (
                f"{writers[0].name} writes the engine's configuration without gradient_clipping",
            )
            for call in loop.backwards:
                if _is_on_engine(call) and call.place.conditions:
                    yield _bypassed_clipping(call, evidence)


def _writes_engine_config(module: Module) -> bool:
    return "train_micro_batch_size_per_gpu" in module.source.text and not is_inference_path(module.name)


def _clips(loop: Loop) -> bool:
    """Return whether a loop, or a function that it calls, clips gradients, as in a branch without the engine."""
    return any(call.name in CLIPPING_CALLS for call in loop.calls)


def _is_on_engine(call: Call) -> bool:
    """Return whether a backward pass is that of an engine: ``model.backward(loss)``."""
    return bool(call.node.args) and last_name(call.receiver) in ("model", "engine", "model_engine")


def _bypassed_clipping(call: Call, evidence: tuple[str, ...]) -> CodeFinding:
    finding = build.at_node(
        call.place.module,
        call.node,
        "VC105",
        Severity.WARNING,
        "under DeepSpeed no clipping reaches the engine: the clipping of this loop is bypassed",
        evidence=evidence,
        remedy='Give the engine "gradient_clipping" in its configuration.',
        url=_URL,
    )
    # From the `if` of DeepSpeed's branch to the step, which follows the backward pass.
    condition, _ = call.place.conditions[-1]
    return finding.model_copy(update={"line": condition.lineno, "end_line": call.node.lineno + 1})


def _updates_with_a_set(unit: Unit) -> Iterator[CodeFinding]:
    """Yield ``ds_config.update({"gradient_clipping", limit})``: the argument is a set, and a dict was meant."""
    for call in unit.calls.get("update", []):
        argument = call.node.args[0] if call.node.args else None
        if (
            isinstance(argument, ast.Set)
            and any(isinstance(element, ast.Constant) and element.value in CLIPPING_KEYS for element in argument.elts)
            and not is_inference_path(call.place.module.name)
        ):
            yield _update_with_a_set(unit, call, argument)


def _update_with_a_set(unit: Unit, call: Call, argument: ast.Set) -> CodeFinding:
    module = call.place.module
    evidence = ["dict.update of a set raises TypeError or ValueError, by which element comes first"]
    line = call.node.lineno
    if call.place.conditions:
        condition, _ = call.place.conditions[-1]
        line = condition.lineno
        never_taken = _why_never_taken(unit, condition)
        if never_taken:
            evidence.append(never_taken)
    key, *values = argument.elts
    finding = build.at_node(
        module,
        call.node,
        "VC105",
        Severity.ERROR,
        f"{build.code(call.node)} gives a set where a dict is meant, so the clipping never reaches the engine",
        evidence=tuple(evidence),
        remedy=f"{ast.unparse(call.receiver)}[{build.code(key)}] = {build.code(values[0]) if values else '…'}",
        url=_URL,
        safe_edits=(change.replace_expression(module, argument, _dict_of(module, key, values[0])),)
        if len(values) == 1
        else (),
    )
    return finding.model_copy(update={"line": line})


def _dict_of(module: Module, key: ast.expr, value: ast.expr) -> str:
    return f"{{{change.source(module, key)}: {change.source(module, value)}}}"


def _why_never_taken(unit: Unit, condition: ast.expr) -> str | None:
    """Return why a condition never holds: it reads a key that the configurations define only at a deeper level."""
    for node in ast.walk(condition):
        match node:
            case ast.Call(func=ast.Attribute(attr="get", value=receiver), args=[ast.Constant(value=str(name)), *_]):
                if config_key(receiver, whole=True) != "":
                    continue
                keys = [entry.key for config in unit.configs for entry in config.entries]
                deeper = [key for key in keys if key.endswith(f".{name}")]
                if name not in keys and deeper:
                    return f"it reads {name}, and the configurations define {deeper[0]}: the branch is never taken"
    return None
