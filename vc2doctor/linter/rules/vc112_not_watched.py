"""A hand-written loop that never asks whether the loss is finite, or hides that it is not.

**Why.** A GradScaler skips every step whose gradients overflow without a word: the loss is logged as NaN, averaged, and
training goes on for a week while the weights stand still (65536 → 8192 in three steps, measured). One line ends that.
`nanmean` over losses, `nan_to_num` of a loss, and the trainer's
`logging_nan_inf_filter` (on by default) hide it.

**Bad**

    loss.backward()
    logger.update(loss=loss.item())

**Good**

    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()} at step {step}")

**Quiet** where the loop, or a function it calls, tests with `isfinite`, `isnan` or `isinf`. A note, never more.

**Silence** the line with `# vc2doctor: ignore[VC112]`.

**Since** torch 1.6.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, last_name

_TESTS = {"isfinite", "isnan", "isinf", "check_nan_losses", "check_nan", "assert_finite"}
_HIDES = {"nanmean", "nan_to_num", "nanmedian"}
_LOGS = {
    "update",
    "print",
    "info",
    "log",
    "add_scalar",
    "item",
    "append",
    "write",
    "set_postfix",
    "set_description",
    "log_metrics",
}
_DEEPEST = 2
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.isfinite.html"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find loops that train on after a NaN."""
    for loop in facts.loops.all:
        if any(call.place.loops for call in loop.backwards) and not _watched(facts, loop.function, 0):
            node = _logged(loop)
            yield build.at(
                loop.function.module,
                node,
                "VC112",
                Severity.NOTE,
                "nothing here asks whether the loss is finite: after a NaN it trains on",
                remedy="Test it each step: if not torch.isfinite(loss): raise FloatingPointError(...).",
                url=_URL,
            )
    for module in facts.code.files.modules.values():
        for call in module.calls:
            filtered = call.argument("logging_nan_inf_filter")
            if filtered is not None and facts.values.decide(filtered, call.place):
                yield build.at(
                    module,
                    filtered,
                    "VC112",
                    Severity.NOTE,
                    "logging_nan_inf_filter replaces a loss that is NaN by the average of the others",
                    remedy="Write logging_nan_inf_filter=False: the first NaN is then in the log.",
                    url="https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.logging_nan_inf_filter",
                )
            if (
                call.name in _HIDES
                and any("loss" in ast.unparse(each).lower() for each in call.node.args)
                and facts.stages.trains(module)
            ):
                yield build.at(
                    module,
                    call.node,
                    "VC112",
                    Severity.NOTE,
                    f"{build.code(call.node)} hides a loss that is NaN",
                    remedy="Count the steps whose loss is not finite, and stop.",
                    url=_URL,
                )


def _watched(facts: Facts, function: Function, depth: int) -> bool:
    calls = [call for call in function.module.calls if _within(call, function)]
    if any(call.name in _TESTS or "nan" in words(call.name) - {"nanmean"} for call in calls):
        return True
    if depth >= _DEEPEST:
        return False
    targets = (facts.code.called(call) for call in calls)
    return any(
        _watched(facts, target, depth + 1) for target in targets if target is not None and target is not function
    )


def _within(call: Call, function: Function) -> bool:
    scope: Function | None = call.place.function
    while scope is not None:
        if scope is function:
            return True
        scope = scope.outer
    return False


def _logged(loop: Loop) -> ast.AST:
    """Return the first statement after the backward pass that tells of the loss, else the backward pass itself."""
    function = loop.function
    backward = next(call for call in loop.backwards if call.place.loops)
    last = max(call.node.lineno for call in loop.backwards)
    for place in function.module.statements:
        statement = place.statement
        if place.function is not function or statement is None or statement.lineno <= last or not place.loops:
            continue
        calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call) and last_name(node.func) in _LOGS]
        if calls and "loss" in ast.unparse(statement).lower() and "backward" not in ast.unparse(statement):
            return statement
    return backward.node
