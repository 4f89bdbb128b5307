"""Which statements run only if a name exists: in a ``try``, under a question for a version, for type checkers only."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from vc2doctor.linter.read.module import Module

_QUESTION = re.compile(
    r"version|hasattr\(|getattr\(|_available|TYPE_CHECKING|find_spec|signature\(|sys\.modules|_installed|is_peft|has_\w+"
    r"|(torch|transformers|peft|trl|accelerate)_?v?\d",
    re.IGNORECASE,
)
"""Conditions that ask what is installed. What they guard is written for several releases."""
_CAUGHT = frozenset(
    {"ImportError", "ModuleNotFoundError", "AttributeError", "TypeError", "Exception", "BaseException", "RuntimeError"}
)
"""Exceptions that a missing name or an unknown argument raises, and their bases."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Guards:
    """The statements of a module that are guarded, and those that run under a condition, by identity."""

    guarded: set[int] = field(default_factory=set)
    conditional: set[int] = field(default_factory=set)
    answers: frozenset[str] = frozenset()
    """The names of the module that hold what a question found: ``NEW = Version(torch.__version__) >= Version("2")``."""

    def is_guarded(self, statement: ast.stmt) -> bool:
        """Return whether a statement runs only if what it names exists, or fails without harm."""
        return id(statement) in self.guarded

    def is_conditional(self, statement: ast.stmt) -> bool:
        """Return whether a statement runs only under a condition, or when a function that imports is called."""
        return id(statement) in self.conditional


def guards_of(module: Module) -> Guards:
    """Return the guards of a module's statements."""
    answers = (
        name
        for name, values in module.level.names.items()
        if any("version" in ast.unparse(value).lower() and _compares(value) for value, _ in values)
    )
    guards = Guards(answers=frozenset(answers))
    _read(module.source.tree.body, guards, guarded=False, conditional=False)
    return guards


def _compares(value: ast.expr) -> bool:
    return any(isinstance(node, ast.Compare) for node in ast.walk(value))


def _read(body: Iterable[ast.stmt], guards: Guards, *, guarded: bool, conditional: bool) -> None:
    for node in body:
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        if guarded or _has_guarded_expression(node):
            guards.guarded.add(id(node))
        if conditional or (is_import and node.col_offset > 0):
            guards.conditional.add(id(node))
        _read_nested(node, guards, guarded=guarded, conditional=conditional)


def _read_nested(node: ast.stmt, guards: Guards, *, guarded: bool, conditional: bool) -> None:
    if isinstance(node, ast.If):
        text = ast.unparse(node.test)
        names = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
        asks = guarded or _QUESTION.search(text) is not None or bool(names & guards.answers)
        # `if __name__ == "__main__"` holds whenever the program runs.
        is_condition = conditional or "__name__" not in text
        _read([*node.body, *node.orelse], guards, guarded=asks, conditional=is_condition)
    elif isinstance(node, ast.Try):
        caught = guarded or any(_catches(handler) for handler in node.handlers)
        _read(node.body, guards, guarded=caught, conditional=conditional)
        for handler in node.handlers:
            _read(handler.body, guards, guarded=caught, conditional=True)
        _read([*node.orelse, *node.finalbody], guards, guarded=caught, conditional=conditional)
    elif isinstance(node, ast.With | ast.AsyncWith):
        suppresses = any("suppress" in ast.unparse(item.context_expr) for item in node.items)
        _read(node.body, guards, guarded=guarded or suppresses, conditional=conditional)
    elif isinstance(node, ast.Match):
        for case in node.cases:
            _read(case.body, guards, guarded=guarded, conditional=True)
    elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        _read(node.body, guards, guarded=guarded, conditional=conditional)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
        _read([*node.body, *node.orelse], guards, guarded=guarded, conditional=conditional)


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(getattr(each, "id", getattr(each, "attr", "")) in _CAUGHT for each in types)


def _has_guarded_expression(node: ast.stmt) -> bool:
    """Return whether a simple statement holds ``a if <question> else b``, or ``<question> and a``."""
    if isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.With | ast.ClassDef | ast.Match | _FUNCTIONS[0]):
        return False
    return any(
        isinstance(entry, ast.IfExp | ast.BoolOp) and _QUESTION.search(ast.unparse(entry)) for entry in ast.walk(node)
    )
