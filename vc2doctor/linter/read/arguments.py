"""Reads the arguments that a module declares: with argparse, as fields of a class, or as defaults of a key tree."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.read.module import Call, Class, Function, Module, Place, last_name, root_name

DEFAULT_TREES = ("cfg", "_C", "_CN", "__C")
"""Names that yacs and its users give to the tree of defaults."""


class Argument(NamedTuple):
    """An argument of a program."""

    name: str
    """As the code reads it: with underscores, and without the leading dashes."""
    default: ast.expr
    function: Function
    """The function in which the default is evaluated."""
    node: ast.expr
    """The declaration: the call of ``add_argument``, or the expression of the default."""
    cls: Class | None = None
    """The class whose field it is."""

    @property
    def is_of_argparse(self) -> bool:
        """Whether a command line gives it: it is declared with ``add_argument``."""
        return isinstance(self.node, ast.Call) and last_name(self.node.func) == "add_argument"

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that ``choices=`` allows; empty: every text is allowed, or the list cannot be read."""
        keywords = self.node.keywords if isinstance(self.node, ast.Call) else []
        value = next((keyword.value for keyword in keywords if keyword.arg == "choices"), None)
        members = value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else []
        texts = [each.value for each in members if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return tuple(texts) if len(texts) == len(members) else ()


def arguments_of(module: Module) -> Iterator[Argument]:
    """Yield the arguments that a module declares."""
    for call in module.calls:
        if call.name == "add_argument":
            yield from _of_argparse(call)
    for cls in module.classes.values():
        yield from _of_fields(cls)
    for place in module.statements:
        yield from _of_assignment(place)
    for function in module.functions:
        if any(last_name(decorator) == "config" for decorator in function.decorators):
            # sacred makes keys of the local names of such a function.
            for name, assigned in function.names.items():
                yield from (Argument(name, value, function, value) for value, _ in assigned)


def _of_argparse(call: Call) -> Iterator[Argument]:
    flags = [argument.value for argument in call.node.args if isinstance(argument, ast.Constant)]
    names = [flag.lstrip("-") for flag in flags if isinstance(flag, str) and flag.startswith("--")]
    destination = call.argument("dest")
    if isinstance(destination, ast.Constant) and isinstance(destination.value, str):
        names = [destination.value]
    action = call.argument("action")
    kind = action.value if isinstance(action, ast.Constant) else None
    by_action = {"store_true": ast.Constant(value=False), "store_false": ast.Constant(value=True)}
    # A default that argparse gives stands nowhere: it has the place of the call.
    implied = ast.copy_location(by_action.get(str(kind), ast.Constant(value=None)), call.node)
    default = call.argument("default") or implied
    for name in names[:1]:
        yield Argument(name.replace("-", "_"), default, call.place.function, call.node)


def _of_assignment(place: Place) -> Iterator[Argument]:
    """Yield a default that code gives to a key of its configuration: ``cfg.TRAINER.PREC = "fp16"``."""
    statement = place.statement
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Constant):
        return
    target = statement.targets[0]
    if isinstance(target, ast.Attribute) and root_name(target) in DEFAULT_TREES:
        yield Argument(target.attr, statement.value, place.function, statement.value)


def _of_fields(cls: Class) -> Iterator[Argument]:
    """Yield the fields of a class whose name says that they are arguments: ``fp16: bool = field(default=True)``."""
    if not cls.name.lower().endswith(("arguments", "args", "config")):
        return
    for statement in cls.node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            default = _default_of_field(statement.value)
            if default is not None:
                yield Argument(statement.target.id, default, cls.module.level, default, cls)


def _default_of_field(value: ast.expr | None) -> ast.expr | None:
    if isinstance(value, ast.Call) and last_name(value.func) in ("field", "Field"):
        return next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return value
