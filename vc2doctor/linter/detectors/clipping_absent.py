"""Hand-written loops that train in half precision and never clip their gradients."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import BACKWARD_AND_STEP, Loop
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.detectors.clipping_keys import CLIPPING_CALLS, CLIPPING_URL
from vc2doctor.linter.detectors.half_loops import why_may_be_half
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_STEPS = frozenset({"step", "update", "zero_grad"}) | BACKWARD_AND_STEP
_CLIPPING_WORDS = ("clip_grad", "max_norm", "grad_clip")
_STEPPED_OTHERS = frozenset(
    {
        *("scheduler", "schedulers", "schedule", "sched", "lr", "warmup", "decay", "profiler", "prof", "env", "envs"),
        *("ema", "swa", "diffusion", "sampler", "simulator", "sim", "bar", "pbar", "noise", "timer", "engine"),
    }
)
"""Words in the names of objects with a method ``step`` that are no optimizers."""


def clipping_is_absent(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield a loop that steps an optimizer in half precision, if nothing in it, or that it calls, clips."""
    calls = loop.function.module.calls_in(loop.function)
    clips = any(call.name in CLIPPING_CALLS for call in calls)
    if clips or not (_steps_optimizer(loop, calls) or _class_steps(loop)) or _callees_clip(facts, calls):
        return
    why = why_may_be_half(facts, loop)
    if why is not None:
        yield _finding(loop, calls, why)


def _finding(loop: Loop, calls: list[Call], why: str) -> CodeFinding:
    first = loop.backwards[0]
    steps = (call.node.end_lineno or 0 for call in calls if call.name in _STEPS)
    last_line = max(steps, default=first.node.lineno)
    finding = build.at_node(
        loop.function.module,
        first.place.statement or first.node,
        "VC105",
        Severity.NOTE,
        "no gradient clipping in a half-precision loop, and no key for it",
        evidence=(why,),
        remedy="Clip after unscale_ and before the step: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
        url=CLIPPING_URL,
    )
    # The finding spans the lines from the backward pass to the step: the clipping is missing between them.
    # A step in another method of the class is the other end.
    also = tuple(build.place_of(step.place.module, step.node) for step in _steps_of_class(loop))
    return finding.model_copy(update={"end_line": max(finding.end_line or 0, last_line), "also": also})


def _steps_optimizer(loop: Loop, calls: list[Call]) -> bool:
    # An engine that runs the backward pass keeps its own gradients: its settings decide.
    engines = {ast.unparse(call.receiver) for call in loop.backwards if call.node.args}
    return any(_is_step(call) and ast.unparse(call.receiver) not in engines for call in calls)


def _is_step(call: Call) -> bool:
    """Return whether a call steps an optimizer, directly or through a scaler: by its name, or the lack of another."""
    if call.name in BACKWARD_AND_STEP:
        return True
    if call.name != "step" or not isinstance(call.node.func, ast.Attribute):
        return False
    receiver = ast.unparse(call.receiver)
    is_of_optimizer = "optim" in ast.unparse(call.node).lower()
    return is_of_optimizer or (receiver != "self" and not words(receiver) & _STEPPED_OTHERS)


def _class_steps(loop: Loop) -> bool:
    """Return whether another method of the loop's class steps the optimizer, and none of them clips."""
    cls = loop.function.cls
    calls = [call for method in cls.methods.values() for call in method.module.calls_in(method)] if cls else []
    return _steps_optimizer(loop, calls) and not any(call.name in CLIPPING_CALLS for call in calls)


def _steps_of_class(loop: Loop) -> list[Call]:
    """Return the steps of the optimizer in the other methods of the loop's class, if the loop itself has none."""
    cls, module = loop.function.cls, loop.function.module
    if cls is None or _steps_optimizer(loop, module.calls_in(loop.function)):
        return []
    others = (method for method in cls.methods.values() if method is not loop.function)
    return [call for method in others for call in method.module.calls_in(method) if _is_step(call)]


def _callees_clip(facts: Facts, calls: list[Call]) -> bool:
    """Return whether a called function clips, or a call has an argument that is about clipping."""
    for call in calls:
        callee = facts.code.callee(call)
        if callee is not None and any(
            isinstance(node, ast.Call) and last_name(node.func) in CLIPPING_CALLS for node in ast.walk(callee.node)
        ):
            return True
        if any(word in ast.unparse(call.node) for word in _CLIPPING_WORDS):
            return True
    return False
