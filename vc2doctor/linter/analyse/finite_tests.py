"""Tests whether a loss is finite: which of the calls of ``isnan`` and its kin in a loop are about the loss."""

import ast
import re

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.read.module import Call, Function, last_name, root_name
from vc2doctor.linter.read.syntax import walk

_TESTS = {"isfinite", "isnan", "isinf", "check_nan_losses", "check_nan", "assert_finite"}
_ABOUT_LOSS = re.compile(r"loss|grad|norm|nan|inf\b|finite|cost|objective|total|err|metric|scale", re.IGNORECASE)
"""What the text of a test has that is about the loss. A helper that prepares a batch tests its coordinates."""
_LOGS = frozenset({"add_histogram", "Histogram", "log", "add_scalar", "print", "info", "append", "update"})
MAX_DEPTH = 2
"""Functions called by functions that the loop calls are searched for a test, and no deeper ones."""


def tests_loss(facts: Facts, function: Function) -> bool:
    """Return whether a function, or one that it calls, tests whether its loss is finite."""
    return _tests_loss(facts, function, None, 0)


def _tests_loss(facts: Facts, function: Function, caller: Call | None, depth: int) -> bool:
    calls = [call for call in function.module.calls if function in call.place.function.scopes()]
    if any(_is_test(call) and _is_about_loss(call, caller) for call in calls):
        return True
    if depth >= MAX_DEPTH:
        return False
    callees = ((facts.code.callee(call), call) for call in calls)
    return any(
        _tests_loss(facts, callee, call, depth + 1)
        for callee, call in callees
        if callee is not None and callee is not function
    )


def _is_test(call: Call) -> bool:
    return call.name in _TESTS or "nan" in words(call.name) - {"nanmean"}


def _is_about_loss(test: Call, caller: Call | None) -> bool:
    """Return whether a test is about the loss; ``caller`` is the call of the function that tests, if it is a helper."""
    if caller is not None:
        texts = (ast.unparse(test.node.func if not test.node.args else test.node), ast.unparse(caller.node))
        return any(_ABOUT_LOSS.search(text.replace("isnan", "").replace("isfinite", "")) for text in texts)
    return not _only_chooses_what_is_logged(test)


def _only_chooses_what_is_logged(test: Call) -> bool:
    """Return whether a test of parameters only decides which of their histograms are logged."""
    statement = test.place.statement
    tested = root_name(test.node.args[0]) if test.node.args else ""
    if not isinstance(statement, ast.If) or not _runs_over_parameters(test.place.function, tested):
        return False
    return all(_is_logging(each) for each in statement.body)


def _is_logging(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Subscript()]):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return last_name(function) in _LOGS
    return False


def _runs_over_parameters(function: Function, name: str) -> bool:
    """Return whether a name runs over the parameters of a model: ``for tag, value in model.named_parameters()``."""
    return any(
        isinstance(node, ast.For)
        and "parameters()" in ast.unparse(node.iter)
        and any(isinstance(target, ast.Name) and target.id == name for target in ast.walk(node.target))
        for node in walk(function.node)
    )
