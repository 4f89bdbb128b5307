"""Evaluations that cast the model under training to float16 in place: the next epoch trains float16 weights."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import mentions_float32
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import is_scaled
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.detectors.weight_causes import option_of
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, last_name

_URL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.half"
MAX_CALLERS = 3
"""Functions between the loop over epochs and the one that casts: ``main`` → ``validate`` → ``encode``."""


class _Evaluation(NamedTuple):
    """A call in a loop over epochs that leads to a cast of the model which the same loop trains."""

    call: Call
    training: Call
    loop: Loop


def half_evaluations(facts: Facts) -> Iterator[CodeFinding]:
    """Yield casts of a parameter to float16 in functions that a training loop calls with its model (VC109).

    ``Module.half`` and ``Module.to`` change the module itself, also where their result is assigned to a name.
    """
    for cast in facts.weights.casts:
        receiver, place = cast.receiver, cast.call.place
        if not isinstance(receiver, ast.Name) or cast.dtypes != {FLOAT16} or cast.is_of_frozen:
            continue
        function = place.function
        is_parameter = receiver.id in function.parameters() and not _is_copied(function, receiver.id)
        if not is_parameter or not cast.is_of_module or facts.values.is_reached(place) is False:
            continue
        if cast.stage is not Stage.INFERS or _casts_back(function, receiver.id):
            continue
        evaluation = _in_training(facts, function, receiver.id, 0)
        if evaluation is not None:
            yield _finding(facts, cast, evaluation)


def _in_training(facts: Facts, function: Function, name: str, depth: int) -> _Evaluation | None:
    """Return the call through which a loop that trains a model gives it to a parameter of a function."""
    for call in facts.code.callers(function) if depth < MAX_CALLERS else ():
        model, caller = call.argument(name, function.position(name)), call.place.function
        if not isinstance(model, ast.Name | ast.Attribute) or facts.values.is_reached(call.place) is False:
            continue
        text = ast.unparse(model)
        if _casts_back(caller, text) or _is_copied(caller, text):
            continue
        training = _training_of(facts, caller, text) if call.place.loop_depth else None
        if training is not None:
            return _Evaluation(call, *training)
        outer = _in_training(facts, caller, text, depth + 1) if text in caller.parameters() else None
        if outer is not None:
            return outer
    return None


def _training_of(facts: Facts, function: Function, model: str) -> tuple[Call, Loop] | None:
    """Return the call in a loop of a function that trains a model, itself or in what it calls."""
    loops = {loop.function: loop for loop in facts.loops.all}
    for call in function.module.calls_in(function):
        if not call.place.loop_depth or facts.values.is_reached(call.place) is False:
            continue
        if function in loops and ast.unparse(call.node.func) == model:
            return call, loops[function]
        callee = facts.code.callee(call)
        given = [*call.node.args, *(keyword.value for keyword in call.node.keywords)]
        if callee in loops and any(ast.unparse(argument) == model for argument in given):
            names = [name for name in callee.parameters() if _gives(call, callee, name, model)]
            if not any(_casts_back(callee, name) for name in names):
                return call, loops[callee]
    return None


def _gives(call: Call, callee: Function, name: str, model: str) -> bool:
    argument = call.argument(name, callee.position(name))
    return argument is not None and ast.unparse(argument) == model


def _casts_back(function: Function, name: str) -> bool:
    """Return whether a function takes a model to float32: ``model.float()`` or ``model.to(torch.float32)``."""
    return any(
        call.name in ("float", "to")
        and isinstance(call.node.func, ast.Attribute)
        and ast.unparse(call.node.func.value) == name
        and (call.name == "float" or mentions_float32(call.node))
        for call in function.module.calls_in(function)
    )


def _is_copied(function: Function, name: str) -> bool:
    """Return whether a name gets a copy of a model, or another model, in a function: ``model = deepcopy(model)``."""
    made = [value for value, _ in function.names.get(name, []) if isinstance(value, ast.Call)]
    return any("copy" in last_name(call.func) or "load" in last_name(call.func) for call in made)


def _finding(facts: Facts, cast: Cast, evaluation: _Evaluation) -> CodeFinding:
    place = cast.call.place
    option = option_of(facts, place)
    condition = " and ".join(ast.unparse(each) for each, _ in place.conditions)
    when = option or (condition if facts.values.is_reached(place) is None else "")
    scales = is_scaled(facts, evaluation.loop)
    effect = (
        'the scaler raises "Attempting to unscale FP16 gradients" in the next epoch'
        if scales
        else "the next epoch trains float16 weights, in which AdamW's eps of 1e-8 is 0"
    )
    training, call = evaluation.training, evaluation.call
    return build.at_node(
        place.module,
        cast.call.node,
        "VC109",
        Severity.ERROR if scales and not when else Severity.WARNING,
        f"the evaluation casts the model under training to float16 in place, and nothing casts it back: {effect}",
        evidence=tuple(
            filter(
                None,
                (
                    f"in runs with {when}" if when else "",
                    f"called in the loop over epochs at {build.place_of(call.place.module, call.node).location}",
                    f"which trains the same model at {build.place_of(training.place.module, training.node).location}",
                ),
            )
        ),
        remedy="Evaluate under torch.autocast, or cast a copy: copy.deepcopy(model).half().",
        url=_URL,
        role="cast",
    )
