"""Which files of a project are started: one answer for the rules about releases, for the fix and for the coverage."""

import ast
import re

from vc2doctor.linter.read.module import Module, last_name

_STARTING_CALLS = frozenset({"train", "fit", "backward", "main", "launch", "run_exp", "Fire"})
"""Calls that start a program where they stand at the level of a module. ``Fire`` is that of python-fire."""
_TRAINER = re.compile(r"Trainer$|TrainingArguments$")
"""Classes of which a script makes an object at the level of a module."""
_DECORATORS = frozenset({"automain"})
"""Decorators of a function that runs when its file is started: sacred's."""
_GUARD = re.compile(r"^if\s+.*__name__|^@\w+\.automain|^@hydra\.main", re.MULTILINE)


def is_started(module: Module) -> bool:
    """Return whether a file is made to be started: a notebook, or a script that does its work when it is run.

    A launch script can start further files.
    """
    if module.name.endswith(".ipynb") or any(map(_is_entry, module.source.tree.body)):
        return True
    own_calls = module.calls_in(module.level)
    return any(call.name in _STARTING_CALLS or _TRAINER.search(call.name) for call in own_calls)


def is_started_text(text: str) -> bool:
    """Return whether a file that was not parsed is made to be started, by its text."""
    return _GUARD.search(text) is not None


def _is_entry(statement: ast.stmt) -> bool:
    """Return whether a statement at the level of a module is the guard of a program, or decorates its function."""
    if isinstance(statement, ast.If):
        return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test))
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    functions = [each.func if isinstance(each, ast.Call) else each for each in statement.decorator_list]
    return any(last_name(each) in _DECORATORS or ast.unparse(each) == "hydra.main" for each in functions)
