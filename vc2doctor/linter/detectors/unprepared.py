"""Optimizers that accelerate does not know: its scaler then never unscales their gradients."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_URL = "https://huggingface.co/docs/accelerate/package_reference/accelerator#accelerate.Accelerator.prepare"


def unprepared_optimizers(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the step of an optimizer that is left out of every ``accelerator.prepare`` of its module."""
    backward = next((call for call in loop.backwards if "accelerator" in ast.unparse(call.receiver)), None)
    prepares = [call for call in loop.function.module.calls if call.name == "prepare"]
    if backward is None or not prepares or any(_is_open(call) for call in prepares):
        return
    prepared = {ast.unparse(argument) for call in prepares for argument in call.node.args}
    for call in loop.function.module.calls_in(loop.function):
        receiver = call.receiver
        if call.name != "step" or call.node.args or not isinstance(receiver, ast.Name):
            continue
        is_named = "optim" in receiver.id.lower() and receiver.id not in prepared
        if is_named and not _is_prepared(call, receiver.id) and _is_made_here(facts, call):
            largest = max(prepares, key=lambda each: (each.place.function is loop.function, len(each.node.args)))
            yield _unprepared(call, backward, largest)
            return


def _is_open(prepare: Call) -> bool:
    """Return whether a call can prepare more than its arguments say: ``prepare(*objects)``."""
    return any(isinstance(argument, ast.Starred) for argument in prepare.node.args) or bool(prepare.node.keywords)


def _is_made_here(facts: Facts, step: Call) -> bool:
    """Return whether the optimizer of a step is one of torch, and no wrapper of accelerate."""
    origins = facts.objects.of(step.receiver, step.place)
    made = list(origins.calls())
    return bool(made) and all(last_name(call.node.func) != "prepare" for call in made)


def _is_prepared(step: Call, name: str) -> bool:
    """Return whether ``prepare`` returned the object of a name: ``net, opt = prepare(state.net, state.opt)``."""
    for scope in step.place.function.scopes():
        values = [value for value, _ in scope.names.get(name, [])]
        values += [value for value, _, _ in scope.unpacked.get(name, [])]
        if values:
            return any(isinstance(value, ast.Call) and last_name(value.func) == "prepare" for value in values)
    return False


def _unprepared(step: Call, backward: Call, prepare: Call) -> CodeFinding:
    return build.at_node(
        step.place.module,
        step.node,
        "VC104",
        Severity.WARNING,
        f"{ast.unparse(step.receiver)} is left out of accelerator.prepare: with fp16 its gradients stay scaled, "
        "and no step is ever skipped",
        evidence=(
            f"the loss is scaled by {build.code(backward.node)} at {_location(backward)}",
            f"prepared at {_location(prepare)}: {build.code(prepare.node)}",
        ),
        remedy="Give the optimizer to accelerator.prepare together with the model.",
        url=_URL,
        role="scaler",
        also=(build.place_of(backward.place.module, backward.node),),
    )


def _location(call: Call) -> str:
    return build.place_of(call.place.module, call.node).location
