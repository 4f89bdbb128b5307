"""The facts of one module: its imports, definitions and calls, and the conditions under which each call is reached."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from vc2doctor.linter.read.source import Source
from vc2doctor.linter.read.syntax import entries_of, walk

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the project."""

    node: ast.ClassDef
    module: "Module"
    methods: dict[str, "Function"] = field(default_factory=dict)
    attributes: dict[str, list["Assigned"]] = field(default_factory=dict)
    """The values assigned to ``self.name`` and to class-level names."""

    @property
    def name(self) -> str:
        """The name of the class, without its module."""
        return self.node.name


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or method of the project. The module level is a function, too; its name is ``""``."""

    name: str
    node: FunctionNode | ast.Module
    module: "Module"
    cls: Class | None
    """The class of a method, also for functions that are nested in it."""
    outer: "Function | None"
    """The function that this one is nested in; the module level for others; ``None`` for the module level."""
    names: dict[str, list["Assigned"]] = field(default_factory=dict)
    """The values assigned to its local names."""
    unpacked: dict[str, list["Unpacked"]] = field(default_factory=dict)
    """The local names that are elements of one value: ``model, scaler = build()``."""
    returned: list["Assigned"] = field(default_factory=list)
    """What its ``return`` statements give."""

    def scopes(self) -> Iterator["Function"]:
        """Yield the function and the functions that it is nested in, the innermost first."""
        scope: Function | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def defaults(self) -> dict[str, ast.expr]:
        """Return the default values of its parameters, by name."""
        if isinstance(self.node, ast.Module):
            return {}
        arguments = self.node.args
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        # Only the last positional parameters have defaults, so both lists are paired from their ends.
        defaults = dict(zip(positional[::-1], arguments.defaults[::-1], strict=False))
        keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return {**defaults, **{argument.arg: default for argument, default in keyword_only if default is not None}}

    def parameters(self) -> list[str]:
        """Return the names of its parameters in order, ``self`` included."""
        if isinstance(self.node, ast.Module):
            return []
        arguments = self.node.args
        return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]

    def position(self, name: str) -> int:
        """Return the position of a parameter in a call; ``self`` and ``cls`` are not counted."""
        names = self.parameters()
        return names.index(name) - (1 if names[:1] in (["self"], ["cls"]) else 0)

    @property
    def decorators(self) -> list[ast.expr]:
        """The decorators of the function."""
        return [] if isinstance(self.node, ast.Module) else self.node.decorator_list

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line."""
        if isinstance(self.node, ast.Module):
            return 1, self.module.source.text.count("\n") + 1
        return self.node.lineno, self.node.end_lineno or self.node.lineno


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place in code: the function that it belongs to, and what must hold for it to be reached."""

    function: Function
    conditions: tuple[tuple[ast.expr, bool], ...] = ()
    """The conditions of the ``if`` statements around it, each with the value that it must have."""
    contexts: tuple[ast.expr, ...] = ()
    """The context managers around it, the outermost first."""
    loop_depth: int = 0
    """How many loops of the function are around it."""
    statement: ast.stmt | None = None

    @property
    def module(self) -> "Module":
        """The module of the place."""
        return self.function.module

    @property
    def targets(self) -> list[ast.expr]:
        """What the statement assigns its value to; nothing: it is no plain assignment."""
        return self.statement.targets if isinstance(self.statement, ast.Assign) else []


Assigned = tuple[ast.expr, Place]
"""An expression that is assigned to a name, and where."""
Unpacked = tuple[ast.expr, int, Place]
"""An expression, the element of it that a name gets, and where."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call and its place."""

    node: ast.Call
    place: Place

    @property
    def name(self) -> str:
        """The last part of the callee's name: ``autocast`` for ``torch.cuda.amp.autocast()``."""
        return last_name(self.node.func)

    @property
    def receiver(self) -> ast.expr:
        """The object whose method is called: ``loss`` for ``loss.backward()``; for a plain name the name itself."""
        return self.node.func.value if isinstance(self.node.func, ast.Attribute) else self.node.func

    def argument(self, name: str, position: int | None = None) -> ast.expr | None:
        """Return the argument with this keyword or at this position, or ``None``.

        The entries of a dictionary that is unpacked into the call are keywords, too: ``load(**kwargs)``.
        """
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
        if position is not None and 0 <= position < len(self.node.args):
            value = self.node.args[position]
            return None if isinstance(value, ast.Starred) else value
        return self.keywords().get(name) if self._unpacks else None

    def keywords(self) -> dict[str, ast.expr]:
        """Return the keywords with their values, also those of dictionaries that are unpacked and can be read."""
        tables = (_table(keyword.value, self.place) for keyword in self.node.keywords if keyword.arg is None)
        unpacked = {name: value for table in tables for name, value in entries_of(table)}
        return unpacked | {keyword.arg: keyword.value for keyword in self.node.keywords if keyword.arg is not None}

    @property
    def _unpacks(self) -> bool:
        return any(keyword.arg is None for keyword in self.node.keywords)

    @property
    def is_open(self) -> bool:
        """Whether a dictionary is unpacked into the call that cannot be read as a whole."""
        return any(
            keyword.arg is None and not _is_readable(keyword.value, self.place) for keyword in self.node.keywords
        )


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A Python file as facts."""

    source: Source
    imports: dict[str, str] = field(default_factory=dict)
    """Local name → dotted name that it stands for. Relative imports keep their dots."""
    star_imports: list[str] = field(default_factory=list)
    """The dotted names of ``from x import *``."""
    classes: dict[str, Class] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    """All functions, also methods and nested functions; the first is the module level."""
    calls: list[Call] = field(default_factory=list)
    calls_by_function: dict[Function, list[Call]] = field(default_factory=dict)
    """The calls directly in each function, without those in functions nested in it."""
    statements: list[Place] = field(default_factory=list)
    """Every statement, in order."""

    @property
    def name(self) -> str:
        """The path of the file, relative to the root."""
        return self.source.name

    @property
    def level(self) -> Function:
        """The module level, as a function."""
        return self.functions[0]

    def calls_in(self, function: Function) -> list[Call]:
        """Return the calls directly in a function, without those in functions nested in it."""
        return self.calls_by_function.get(function, [])

    def dotted(self, expression: ast.expr) -> str:
        """Return the full dotted name of ``a.b.c``, by the module's imports; ``""`` for other expressions."""
        parts: list[str] = []
        while isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return ""
        parts.append(self.imports.get(expression.id, expression.id))
        return ".".join(reversed(parts))


def _table(expression: ast.expr, place: Place) -> ast.expr:
    """Return what a name is, if it is assigned once and in the scope of a place; any other expression as it is."""
    if not isinstance(expression, ast.Name):
        return expression
    scope = next((scope for scope in place.function.scopes() if expression.id in scope.names), None)
    values = scope.names[expression.id] if scope is not None else []
    is_parameter = any(expression.id in scope.parameters() for scope in place.function.scopes())
    return values[0][0] if len(values) == 1 and not is_parameter else expression


def _is_readable(expression: ast.expr, place: Place) -> bool:
    """Return whether a dictionary is written out, and nothing changes it afterwards."""
    table = _table(expression, place)
    is_whole = isinstance(table, ast.Dict) and all(isinstance(key, ast.Constant) for key in table.keys)
    is_call = isinstance(table, ast.Call) and bool(table.keywords) and all(each.arg for each in table.keywords)
    name = expression.id if isinstance(expression, ast.Name) else ""
    is_changed = name and re.search(rf"\b{name}\s*(\[|\.(update|setdefault))", place.module.source.text)
    return (is_whole or is_call) and not is_changed


def last_name(expression: ast.expr) -> str:
    """Return the last part of a dotted name: ``c`` of ``a.b.c``; ``""`` for other expressions."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def root_name(expression: ast.expr) -> str:
    """Return the first part of a chain of names, calls and subscripts: ``a`` of ``a.b(x)[0].c``; ``""`` for others."""
    while isinstance(expression, ast.Attribute | ast.Call | ast.Subscript):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def module_of(source: Source) -> Module:
    """Return the facts of a parsed file."""
    module = Module(source)
    level = Function("", source.tree, module, None, None)
    module.functions.append(level)
    _Reader(module).read_body(source.tree.body, Place(level))
    return module


class _Reader:
    """Walks the statements of a module once, and fills in its facts."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._class: Class | None = None
        """The class whose body is being read; ``None`` inside of its methods."""

    def read_body(self, statements: list[ast.stmt], place: Place) -> None:
        for statement in statements:
            own_place = Place(place.function, place.conditions, place.contexts, place.loop_depth, statement)
            self._module.statements.append(own_place)
            self._read_statement(statement, own_place)

    def _read_statement(self, statement: ast.stmt, place: Place) -> None:  # noqa: C901, PLR0912 - one case per kind of statement
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._read_function(statement, place)
            case ast.ClassDef():
                self._read_class(statement, place)
            case ast.Import():
                self._read_import(statement)
            case ast.ImportFrom():
                self._read_import_from(statement)
            case ast.If():
                self._read_calls(statement.test, place)
                self.read_body(statement.body, _nested(place, condition=(statement.test, True)))
                self.read_body(statement.orelse, _nested(place, condition=(statement.test, False)))
            case ast.With() | ast.AsyncWith():
                inner = place
                for item in statement.items:
                    self._read_calls(item.context_expr, inner)
                    inner = _nested(inner, context=item.context_expr)
                self.read_body(statement.body, inner)
            case ast.For() | ast.AsyncFor() | ast.While():
                self._read_calls(statement.test if isinstance(statement, ast.While) else statement.iter, place)
                self.read_body(statement.body, _nested(place, loops=1))
                self.read_body(statement.orelse, place)
            case ast.Try():
                for body in (statement.body, *(handler.body for handler in statement.handlers)):
                    self.read_body(body, place)
                self.read_body([*statement.orelse, *statement.finalbody], place)
            case ast.Match():
                self._read_calls(statement.subject, place)
                for case in statement.cases:
                    self.read_body(case.body, place)
            case _:
                if isinstance(statement, ast.Return) and statement.value is not None:
                    place.function.returned.append((statement.value, place))
                self._read_assignment(statement, place)
                self._read_calls(statement, place)

    def _read_function(self, node: FunctionNode, place: Place) -> None:
        outer = place.function
        cls, self._class = self._class, None
        function = Function(node.name, node, self._module, cls or outer.cls, outer)
        self._module.functions.append(function)
        if cls is not None:
            cls.methods.setdefault(node.name, function)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self._read_calls(default, place)
        for decorator in node.decorator_list:
            # A decorator such as `@autocast()` changes what the function does, so it belongs to the function.
            self._read_calls(decorator, Place(function))
        opened = tuple(each for each in node.decorator_list if "autocast" in ast.unparse(each))
        self.read_body(node.body, Place(function, contexts=opened))
        self._class = cls

    def _read_class(self, node: ast.ClassDef, place: Place) -> None:
        cls = Class(node, self._module)
        self._module.classes[node.name] = cls
        for statement in node.body:
            target, value = _single_assignment(statement)
            if isinstance(target, ast.Name) and value is not None:
                cls.attributes.setdefault(target.id, []).append((value, place))
        outer, self._class = self._class, cls
        self.read_body(node.body, place)
        self._class = outer

    def _read_import(self, node: ast.Import) -> None:
        for alias in node.names:
            # `import a.b` binds `a`; `import a.b as c` binds `c` to `a.b`.
            local = alias.asname or alias.name.partition(".")[0]
            self._module.imports[local] = alias.name if alias.asname else local

    def _read_import_from(self, node: ast.ImportFrom) -> None:
        prefix = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                if prefix not in self._module.star_imports:
                    self._module.star_imports.append(prefix)
            else:
                separator = "" if prefix.endswith(".") else "."
                self._module.imports[alias.asname or alias.name] = f"{prefix}{separator}{alias.name}"

    def _read_assignment(self, statement: ast.stmt, place: Place) -> None:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            for name, value in _unpacked(target, statement.value):
                if isinstance(name, ast.Tuple | ast.List):
                    self._read_elements(name, value, place)
                elif isinstance(name, ast.Name):
                    place.function.names.setdefault(name.id, []).append((value, place))
                elif isinstance(name, ast.Attribute) and root_name(name) == "self" and place.function.cls:
                    place.function.cls.attributes.setdefault(name.attr, []).append((value, place))

    def _read_elements(self, names: ast.Tuple | ast.List, value: ast.expr, place: Place) -> None:
        for position, name in enumerate(names.elts):
            if isinstance(name, ast.Name):
                place.function.unpacked.setdefault(name.id, []).append((value, position, place))

    def _read_calls(self, node: ast.AST, place: Place) -> None:
        calls = [Call(call, place) for call in walk(node) if isinstance(call, ast.Call)]
        self._module.calls.extend(calls)
        if calls:
            self._module.calls_by_function.setdefault(place.function, []).extend(calls)


def _nested(
    place: Place, condition: tuple[ast.expr, bool] | None = None, context: ast.expr | None = None, loops: int = 0
) -> Place:
    """Return the place one level deeper: under a condition, in a context or in a loop."""
    return Place(
        place.function,
        (*place.conditions, condition) if condition else place.conditions,
        (*place.contexts, context) if context else place.contexts,
        place.loop_depth + loops,
        place.statement,
    )


def _single_assignment(statement: ast.stmt) -> tuple[ast.expr | None, ast.expr | None]:
    """Return the target and the value of an assignment to one target."""
    if isinstance(statement, ast.AnnAssign):
        return statement.target, statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0], statement.value
    return None, None


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the pairs of target and value; ``a, b = x, y`` has two."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value
