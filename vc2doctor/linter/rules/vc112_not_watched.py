"""A training loop that does not test whether the loss is finite.

**What it does.** Reports hand-written loops without a test of the loss, also those of classes that extend a trainer, and code or settings that hide a loss that is
NaN: it is replaced by a constant, only its backward pass is skipped, or the gradients are cleaned.

**Why is this bad.** A GradScaler skips every step whose gradients overflow, and says nothing: the loss is logged as
NaN, and training goes on while the weights stand still (the scale fell from 65536 to 8192 in three steps, measured).
`nanmean` over losses, `nan_to_num` of a loss, and the trainer's `logging_nan_inf_filter`, which is on by default, hide
it from the log.

**Example**

    loss.backward()
    logger.update(loss=loss.item())

**Use instead**

    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()} at step {step}")

**How to fix.** Test the loss at each step, and stop. To keep a line, add `# vc2doctor: ignore[VC112]`.

**Quiet.** No finding where the loop, or a function that it calls, tests the loss or its gradients with `isfinite`,
`isnan` or `isinf`; a test of the input, or one that only chooses which histograms are logged, does not count. It is
always a note.

**References**

* https://docs.pytorch.org/docs/stable/generated/torch.isfinite.html
* https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.logging_nan_inf_filter
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.finite_tests import tests_loss
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.detectors.hidden_losses import hidden_losses
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.module import Call, last_name

_HIDING_CALLS = {"nanmean", "nan_to_num", "nanmedian"}
_LOGGING_CALLS = {
    *("update", "print", "info", "log", "add_scalar", "item", "append", "write", "set_postfix", "set_description"),
    "log_metrics",
}
_INHERITED_STEP = "training_step"
"""The method of transformers' trainer that runs the backward pass of a batch."""
_MESSAGE = "the loop does not test whether the loss is finite, so it goes on after a NaN"
_REMEDY = "Test it each step: if not torch.isfinite(loss): raise FloatingPointError(...)."
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.isfinite.html"
_FILTER_URL = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments.logging_nan_inf_filter"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loops that never test the loss, and calls that hide a loss that is not finite."""
    for loop in facts.loops.all:
        if _is_repeated(facts, loop) and not tests_loss(facts, loop.function):
            yield _untested_loop(facts, loop)
    yield from _own_trainer_loops(facts)
    yield from hidden_losses(facts)
    for module in facts.code.files.modules.values():
        for call in module.calls:
            yield from _filtered_log(facts, call)
            yield from _hidden_loss(facts, call)


def _is_repeated(facts: Facts, loop: Loop) -> bool:
    """Return whether a backward pass runs in a loop: in its function, around a call of it, or with a step of its own."""
    if any(call.place.loop_depth for call in loop.backwards):
        return True
    callers = facts.code.callers(loop.function)
    if any(call.place.loop_depth for call in callers):
        return True
    calls = loop.function.module.calls_in(loop.function)
    return any(call.name == "step" for call in calls) and not _is_wrapper(loop)


def _is_wrapper(loop: Loop) -> bool:
    """Return whether a function is the call of a scaler's wrapper: its caller sees the loss."""
    return loop.function.name == "__call__"


def _untested_loop(facts: Facts, loop: Loop) -> CodeFinding:
    return build.at_node(
        loop.function.module,
        _logging_statement(loop),
        "VC112",
        Severity.NOTE,
        _MESSAGE,
        remedy=_REMEDY,
        url=_URL,
        also=tuple(dict.fromkeys(_further_places(facts, loop))),
    )


def _further_places(facts: Facts, loop: Loop) -> Iterator[CodePlace]:
    """Yield where a test can stand: at the backward passes, where the loss is logged before, and where a step is run."""
    module = loop.function.module
    yield from (build.place_of(module, call.node) for call in loop.backwards)
    first = min(call.node.lineno for call in loop.backwards)
    before = [statement for statement in _logging_statements(loop) if statement.lineno < first]
    yield from (build.place_of(module, statement) for statement in before[:1])
    steps = [call for call in facts.code.callers(loop.function) if call.place.loop_depth]
    yield from (build.place_of(call.place.module, call.place.statement or call.node) for call in steps[:1])


def _own_trainer_loops(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loops of classes that extend a trainer, and run its step on batches in a loop of their own."""
    for module in facts.code.files.modules.values():
        for call in module.calls if _INHERITED_STEP in module.source.text else ():
            function = call.place.function
            is_step = call.name == _INHERITED_STEP and ast.unparse(call.receiver) == "self" and call.place.loop_depth
            if not is_step or function.cls is None or not facts.code.extends_trainer(function.cls):
                continue
            names = {each.name for each in module.calls_in(function)}
            is_first = next(each for each in module.calls_in(function) if each.name == _INHERITED_STEP) is call
            if is_first and "step" in names and not tests_loss(facts, function):
                yield build.at_node(module, call.node, "VC112", Severity.NOTE, _MESSAGE, remedy=_REMEDY, url=_URL)


def _filtered_log(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    is_filtered = call.argument("logging_nan_inf_filter")
    if is_filtered is not None and facts.values.truth(is_filtered, call.place):
        yield build.at_node(
            call.place.module,
            is_filtered,
            "VC112",
            Severity.NOTE,
            "logging_nan_inf_filter replaces a loss that is NaN by the average of the others",
            remedy="Write logging_nan_inf_filter=False: the first NaN is then in the log.",
            url=_FILTER_URL,
        )


def _hidden_loss(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    if call.name not in _HIDING_CALLS:
        return
    module = call.place.module
    is_about_loss = any("loss" in ast.unparse(argument).lower() for argument in call.node.args)
    if is_about_loss and facts.stages.module_trains(module):
        yield build.at_node(
            module,
            call.node,
            "VC112",
            Severity.NOTE,
            f"{build.code(call.node)} hides a loss that is NaN",
            remedy="Count the steps whose loss is not finite, and stop.",
            url=_URL,
        )


def _logging_statement(loop: Loop) -> ast.AST:
    """Return the first statement after the backward pass that logs the loss, else the backward pass itself."""
    last_line = max(call.node.lineno for call in loop.backwards)
    after = (statement for statement in _logging_statements(loop) if statement.lineno > last_line)
    return next(after, loop.backwards[-1].node)


def _logging_statements(loop: Loop) -> Iterator[ast.stmt]:
    """Yield the statements of a loop that log the loss."""
    for place in loop.function.module.statements:
        statement = place.statement
        if place.function is not loop.function or statement is None:
            continue
        text = ast.unparse(statement)
        logs = any(
            isinstance(node, ast.Call) and last_name(node.func) in _LOGGING_CALLS for node in ast.walk(statement)
        )
        if logs and "loss" in text.lower() and "backward" not in text:
            yield statement
