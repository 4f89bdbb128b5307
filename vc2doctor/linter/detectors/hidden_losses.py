"""Code that hides losses or gradients which are not finite: a constant takes their place, or backward is left out."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, Module, Place, last_name
from vc2doctor.linter.read.syntax import walk

_TEST = re.compile(r"\b(isnan|isinf|isfinite)\(")
_LOSS = re.compile(r"loss|objective", re.IGNORECASE)
_CONSTANTS = ("tensor", "zeros", "zeros_like", "full", "full_like", "nan_to_num")
_HIDING = ("nan_to_num", "nan_to_num_")
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.isfinite.html"


def hidden_losses(facts: Facts) -> Iterator[CodeFinding]:
    """Yield statements that hide a loss which is not finite, in modules that do not only evaluate (VC112)."""
    for module in facts.code.files.modules.values():
        text = module.source.text
        if is_inference_path(module.name) or not any(word in text for word in ("isnan", "isfinite", "nan_to_num")):
            continue
        for place in module.statements:
            if isinstance(place.statement, ast.Assign):
                yield from _replaced(module, place, place.statement)
                yield from _masked(module, place.statement)
        yield from _cleaned(module)
        yield from _cleaned_gradients(module)
        yield from _only_not_propagated(module)


def _replaced(module: Module, place: Place, statement: ast.Assign) -> Iterator[CodeFinding]:
    """Yield a constant that a loss gets where it is not finite: it has no graph, so backward raises or does nothing."""
    if len(statement.targets) != 1 or not place.conditions:
        return
    target, (test, wanted) = ast.unparse(statement.targets[0]), place.conditions[-1]
    asks = _TEST.search(ast.unparse(test)) is not None and re.search(rf"\b{re.escape(target)}\b", ast.unparse(test))
    is_bad = wanted is not (isinstance(test, ast.Call) and last_name(test.func) == "isfinite")
    if asks and is_bad and _LOSS.search(target) and _is_constant(statement.value, target):
        yield _finding(
            module,
            statement,
            f"{target} is replaced where it is not finite: training goes on, and the cause is not seen",
        )


def _is_constant(value: ast.expr, target: str) -> bool:
    if isinstance(value, ast.Call):
        return last_name(value.func) in _CONSTANTS
    is_product = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult)
    if is_product:
        return (
            re.fullmatch(rf"(0(\.0)? \* {re.escape(target)})|({re.escape(target)} \* 0(\.0)?)", ast.unparse(value))
            is not None
        )
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


def _masked(module: Module, statement: ast.Assign) -> Iterator[CodeFinding]:
    """Yield a product of a loss with a mask that is 0 where the loss is not finite: NaN times 0 is NaN."""
    for node in walk(statement.value):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.right, ast.Call):
            call = node.right
            if last_name(call.func) == "isfinite" and call.args and _LOSS.search(ast.unparse(call.args[0])):
                yield _finding(
                    module,
                    statement,
                    f"{build.code(call)} is a mask: NaN times 0 stays NaN, so a loss that is not finite is not masked",
                )


def _cleaned(module: Module) -> Iterator[CodeFinding]:
    """Yield ``nan_to_num`` as the last step of what a name with "loss" gets, or of what a loss function returns."""
    for call in module.calls:
        statement = call.place.statement
        if call.name not in _HIDING or any("loss" in ast.unparse(argument).lower() for argument in call.node.args):
            continue
        value = getattr(statement, "value", None)
        names = [ast.unparse(target) for target in call.place.targets]
        if isinstance(statement, ast.Return):
            names = [call.place.function.name]
        if value is not None and _outer_call(value) is call.node and any(map(_LOSS.search, names)):
            yield _finding(module, call.node, f"{build.code(call.node)} hides a loss that is NaN")


def _cleaned_gradients(module: Module) -> Iterator[CodeFinding]:
    """Yield ``nan_to_num`` of gradients: the step is taken as if nothing had overflowed."""
    for call in module.calls:
        subject = call.node.args[0] if call.node.args else None
        if isinstance(call.node.func, ast.Attribute) and call.name == "nan_to_num_":
            subject = call.node.func.value
        if call.name in _HIDING and isinstance(subject, ast.Attribute) and subject.attr == "grad":
            yield _finding(
                module,
                call.node,
                f"{build.code(call.node)} hides gradients that are not finite: the optimizer steps on the rest",
            )


def _outer_call(value: ast.expr) -> ast.expr:
    while isinstance(value, ast.UnaryOp):
        value = value.operand
    return value


def _only_not_propagated(module: Module) -> Iterator[CodeFinding]:
    """Yield a backward pass that only runs for a finite loss, where the optimizer steps all the same."""
    for function in module.functions:
        calls = module.calls_in(function)
        backwards = [call for call in calls if call.name == "backward"]
        guarded = [call for call in backwards if _guard(call) is not None]
        if guarded and len(guarded) == len(backwards):
            steps = [call for call in calls if call.name == "step" and "optim" in ast.unparse(call.node).lower()]
            loose = [step for step in steps if _follows(function, guarded[0], step)]
            if loose:
                place = build.place_of(module, loose[0].node)
                yield _finding(
                    module,
                    guarded[0].node,
                    "a loss that is not finite only skips backward: the optimizer steps all the same, and nothing "
                    "stops the run",
                    evidence=(f"stepped at {place.location}",),
                    also=(place, *(build.place_of(module, call.node) for call in guarded[1:])),
                )


def _guard(backward: Call) -> ast.expr | None:
    tests = [test for test, _ in backward.place.conditions]
    return next((test for test in tests if _TEST.search(ast.unparse(test))), None)


def _follows(function: Function, backward: Call, step: Call) -> bool:
    """Return whether a step runs behind a backward pass that was left out: its test neither guards it nor leaves."""
    guard = _guard(backward)
    is_guarded = any(test is guard or _TEST.search(ast.unparse(test)) for test, _ in step.place.conditions)
    if is_guarded or step.node.lineno < backward.node.lineno or are_exclusive(backward.place, step.place):
        return False
    if step.place.loop_depth < backward.place.loop_depth:
        return False
    statement = next((node for node in walk(function.node) if isinstance(node, ast.If) and node.test is guard), None)
    rest = statement.orelse if statement is not None else []
    return not any(
        isinstance(node, ast.Continue | ast.Return | ast.Raise | ast.Break) for each in rest for node in walk(each)
    )


def _finding(module: Module, node: ast.AST, message: str, **fields: object) -> CodeFinding:
    return build.at_node(
        module,
        node,
        "VC112",
        Severity.NOTE,
        message,
        remedy="Count the steps whose loss is not finite, log them, and stop after a few.",
        url=_URL,
        **fields,
    )
