"""``scaler.update()`` after each of several optimizers that step on the gradients of one backward pass."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, Module, last_name

_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html#working-with-multiple-models-losses-and-optimizers"


def updated_for_each_optimizer(facts: Facts) -> Iterator[CodeFinding]:
    """Yield a scaler that is updated between the steps of optimizers which share its gradients (VC104)."""
    modules = [each for each in facts.code.files.modules.values() if "scaler" in each.source.text]
    for module in modules:
        for function in module.functions:
            update = _update_behind_step(module, function)
            if update is not None:
                calls = next(_repeated(modules, function, update), None)
                if calls is not None:
                    yield _finding(update, calls)
            else:
                yield from _in_line(module, function)


def _is_on_scaler(call: Call, name: str) -> bool:
    return (
        call.name == name and isinstance(call.node.func, ast.Attribute) and "scaler" in last_name(call.receiver).lower()
    )


def _update_behind_step(module: Module, function: Function) -> Call | None:
    """Return the update of a helper that steps one optimizer with a scaler which it is given, without a loss."""
    calls = module.calls_in(function)
    names = {call.name for call in calls}
    steps = [call for call in calls if _is_on_scaler(call, "step")]
    updates = [call for call in calls if _is_on_scaler(call, "update")]
    is_given = any("scaler" in parameter for parameter in function.parameters())
    if len(steps) != 1 or not updates or not is_given or "backward" in names or "zero_grad" in names:
        return None
    return updates[0] if updates[0].node.lineno > steps[0].node.lineno else None


def _repeated(modules: list[Module], function: Function, update: Call) -> Iterator[list[Call]]:
    """Yield the calls of a helper, or of the method that hands a scaler on to it, that follow one backward pass."""
    names = {function.name}
    for method in function.cls.methods.values() if function.cls is not None else ():
        calls = function.module.calls_in(method)
        if any(call.name == function.name and ast.unparse(call.receiver) == "self" for call in calls):
            names.add(method.name)
    own = update.place.function.cls
    for module in modules:
        for caller in module.functions:
            if own is None or caller.cls is not own:
                uses = [call for call in module.calls_in(caller) if call.name in names and _gives_scaler(call)]
                yield from ([first, second] for first, second in pairwise(uses) if _share(module, first, second))


def _gives_scaler(call: Call) -> bool:
    values = (*call.node.args, *(keyword.value for keyword in call.node.keywords))
    return any("scaler" in last_name(value).lower() for value in values)


def _share(module: Module, first: Call, second: Call) -> bool:
    """Return whether two calls step different optimizers on the gradients of the same backward pass."""
    between = range(first.node.lineno, second.node.lineno + 1)
    calls = module.calls_in(first.place.function)
    is_new = any(call.name in ("backward", "scale") and call.node.lineno in between for call in calls)
    is_other = ast.unparse(first.node) != ast.unparse(second.node)
    return is_other and not is_new and first.place.conditions == second.place.conditions


def _in_line(module: Module, function: Function) -> Iterator[CodeFinding]:
    """Yield an update between two steps in one function."""
    calls = module.calls_in(function)
    steps = [call for call in calls if _is_on_scaler(call, "step")]
    for first, second in pairwise(sorted(steps, key=lambda call: call.node.lineno)):
        lines = range(first.node.lineno, second.node.lineno)
        updates = [call for call in calls if _is_on_scaler(call, "update") and call.node.lineno in lines]
        is_same = not updates or ast.unparse(updates[0].receiver) != ast.unparse(second.receiver)
        if not is_same and _share(module, first, second) and not are_exclusive(first.place, second.place):
            yield _finding(updates[0], [first, second])


def _finding(update: Call, calls: list[Call]) -> CodeFinding:
    places = [build.place_of(call.place.module, call.node) for call in calls]
    return build.at_node(
        update.place.module,
        update.node,
        "VC104",
        Severity.NOTE,
        "the scaler is updated after each of several optimizers, and the scale can change between the steps that use "
        "the gradients of one backward pass",
        evidence=(f"stepped at {places[0].location} and {places[1].location}, with no backward pass between them",),
        remedy="Step every optimizer, and then call scaler.update() once in the iteration.",
        url=_URL,
        role="scaler",
        also=tuple(places),
    )
