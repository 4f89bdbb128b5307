"""The protocol of a gradient scaler: scale, backward, unscale once, clip, step, update."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import is_on_scaler
from vc2doctor.linter.detectors.scaler_optimizers import unscaled_other
from vc2doctor.linter.detectors.scaler_rhythm import unscaled_too_often, updated_too_often
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, Module, last_name, root_name
from vc2doctor.linter.read.syntax import walk

_PROTOCOL = ("scale", "step", "update", "unscale_")
_CLIPPING = ("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_")
_SCALER_URL = "https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling"

Uses = dict[str, list[Call]]
"""The calls of a loop on one scaler, by the name of the method."""


def scaler_protocol(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the steps of the protocol that a loop leaves out, repeats, or does without the scaler."""
    every, reached = _uses(facts, loop), _reached(facts, loop)
    for name, uses in every.items():
        if _leaves_the_loop(loop, name):
            continue
        if not reached[name]:
            yield from map(_as_note, (*unscaled_too_often(uses), *updated_too_often(uses)))
            continue
        known = reached[name]
        yield from _no_update(known)
        yield from _no_scale(loop, known)
        yield from _plain_step(loop, known)
        yield from _unscaled_twice(known)
        yield from unscaled_too_often(known)
        # What the configurations switch off now is there for other runs.
        yield from map(_as_note, unscaled_too_often(_unreached(uses, known)))
        yield from updated_too_often(known)
        yield from unscaled_other(known)


def _as_note(finding: CodeFinding) -> CodeFinding:
    """Return a finding about a scaler that no command and no default switches on."""
    message = f"{finding.message} (no run that is known reaches this)"
    return finding.model_copy(update={"severity": Severity.NOTE, "message": message})


def _unreached(uses: Uses, known: Uses) -> Uses:
    """Return the uses of a scaler with those calls of ``unscale_`` only that no known run reaches."""
    return {**uses, "unscale_": [call for call in uses["unscale_"] if call not in known["unscale_"]]}


def _uses(facts: Facts, loop: Loop) -> dict[str, Uses]:
    """Return the uses of each scaler in a loop and in what it calls, by the last part of the scaler's name."""
    by_scaler: dict[str, Uses] = defaultdict(lambda: defaultdict(list))
    for call in loop.calls:
        if call.name in _PROTOCOL and is_on_scaler(facts, call):
            by_scaler[last_name(call.receiver)][call.name].append(call)
    return by_scaler


def _reached(facts: Facts, loop: Loop) -> dict[str, Uses]:
    """Return the same without the uses that no run reaches."""
    by_scaler: dict[str, Uses] = defaultdict(lambda: defaultdict(list))
    for name, uses in _uses(facts, loop).items():
        for method, calls in uses.items():
            for call in calls:
                if facts.values.is_reached(call.place) is not False:
                    by_scaler[name][method].append(call)
    return by_scaler


def _leaves_the_loop(loop: Loop, name: str) -> bool:
    """Return whether a scaler is given to code that is not known here, which can complete the protocol."""
    known = {function.name for function in loop.functions}
    return any(
        call.name not in known and any(last_name(argument) == name for argument in call.node.args)
        for call in loop.calls
    )


def _no_update(uses: Uses) -> Iterator[CodeFinding]:
    if uses["step"] and uses["scale"] and not uses["update"]:
        yield _finding(
            uses["step"][0],
            "the scaler steps and is never updated: its second step raises, and its scale never changes",
            ("scaler.step checks that update was called since the last step",),
            "Call scaler.update() after scaler.step(optimizer), once in each iteration.",
        )


def _no_scale(loop: Loop, uses: Uses) -> Iterator[CodeFinding]:
    plain = [call for call in loop.backwards if not _is_scaled(call)]
    if uses["step"] and not uses["scale"] and plain:
        yield _finding(
            uses["step"][0],
            "the scaler steps, and the loss was never scaled: torch raises, because no scale is recorded",
            (f"the backward pass at {_location(plain[0])} runs on the plain loss",),
            "Write scaler.scale(loss).backward().",
        )


def _plain_step(loop: Loop, uses: Uses) -> Iterator[CodeFinding]:
    """Yield ``optimizer.step()`` behind ``scaler.scale(loss).backward()`` without a step of the scaler."""
    if not uses["scale"] or uses["step"]:
        return
    for call in loop.calls:
        is_step = call.name == "step" and "optim" in ast.unparse(call.receiver).lower() and not call.node.args
        if is_step and not any(are_exclusive(call.place, scale.place) for scale in uses["scale"]):
            yield _finding(
                call,
                "the loss is scaled, and the optimizer steps without the scaler: gradients are 65,536 times too large",
                (f"scaled at {_location(uses['scale'][0])}",),
                "Write scaler.step(optimizer), and then scaler.update().",
            )
            return


def _unscaled_twice(uses: Uses) -> Iterator[CodeFinding]:
    """Yield the second of two ``unscale_`` of one optimizer in a row, with no step between them."""
    by_optimizer: dict[tuple[Function, str], list[Call]] = defaultdict(list)
    for call in uses["unscale_"]:
        if call.node.args:
            by_optimizer[call.place.function, ast.unparse(call.node.args[0])].append(call)
    for calls in by_optimizer.values():
        for first, second in pairwise(sorted(calls, key=lambda call: call.node.lineno)):
            between = range(first.node.lineno, second.node.lineno)
            is_updated = any(call.node.lineno in between for call in (*uses["update"], *uses["step"]))
            same_branch = second.place.conditions[: len(first.place.conditions)] == first.place.conditions
            if not is_updated and same_branch and not are_exclusive(first.place, second.place):
                yield _finding(
                    second,
                    "gradients are unscaled twice before the step: torch raises RuntimeError",
                    (f"unscaled before at {_location(first)}",),
                    "Call scaler.unscale_(optimizer) once in each iteration.",
                )


def _is_scaled(backward: Call) -> bool:
    return isinstance(backward.receiver, ast.Call) and last_name(backward.receiver.func) == "scale"


def _location(call: Call) -> str:
    return build.place_of(call.place.module, call.node).location


def _finding(call: Call, message: str, evidence: tuple[str, ...], remedy: str) -> CodeFinding:
    return build.at_node(
        call.place.module,
        call.node,
        "VC104",
        Severity.ERROR,
        message,
        evidence=evidence,
        remedy=remedy,
        role="scaler",
        url=_SCALER_URL,
    )


def apex_clipped_while_scaled(module: Module) -> Iterator[CodeFinding]:
    """Yield clipping within the block of apex's ``scale_loss``, at whose end the gradients are unscaled."""
    for block in walk(module.source.tree):
        if isinstance(block, ast.With) and any(_scales_loss(module, item.context_expr) for item in block.items):
            inside = {node for statement in block.body for node in ast.walk(statement)}
            for call in module.calls:
                if call.node in inside and call.name in _CLIPPING:
                    yield _finding(
                        call,
                        "gradients are clipped while they are scaled: apex unscales them at the end of this block",
                        (f"the block begins at {build.place_of(module, block).location}",),
                        "Clip after the block: `clip_grad_norm_(amp.master_params(optimizer), max_norm)`.",
                    )


def _scales_loss(module: Module, expression: ast.expr) -> bool:
    match expression:
        case ast.Call(func=function) if last_name(function) == "scale_loss":
            return module.imports.get(root_name(function), "").startswith("apex")
    return False


def apex_without_initialize(facts: Facts, module: Module, calls: list[Call]) -> Iterator[CodeFinding]:
    """Yield ``amp.scale_loss`` of apex in a unit without ``amp.initialize`` among its ``calls`` of that name.

    The trainer of transformers 4 calls it for the classes that extend it.
    """
    scalings = [
        call
        for call in module.calls
        if call.name == "scale_loss"
        and module.imports.get(root_name(call.node.func), "").startswith("apex")
        and not ((cls := call.place.function.cls) is not None and facts.code.extends_trainer(cls))
    ]
    if scalings and not any(call.name == "initialize" and "amp" in ast.unparse(call.receiver) for call in calls):
        yield _finding(
            scalings[0],
            "apex scales the loss here, and nothing calls amp.initialize: apex raises, because it has no state",
            (),
            "Use torch.autocast and torch.amp.GradScaler, or call amp.initialize(model, optimizer) before training.",
        )
