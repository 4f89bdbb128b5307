"""The facts of one module: what it imports, defines and calls, and under which conditions each call stands."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from vc2doctor.linter.read.source import Source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """A class of the project."""

    node: ast.ClassDef
    module: "Module"
    methods: dict[str, "Function"] = field(default_factory=dict)
    attributes: dict[str, list[tuple[ast.expr, "Place"]]] = field(default_factory=dict)
    """What ``self.name`` and class-level names are assigned, each with where."""

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.node.name


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function or method of the project; the module's own level counts as one, named ``""``."""

    name: str
    node: FunctionNode | ast.Module
    module: "Module"
    cls: Class | None
    outer: "Function | None"
    names: dict[str, list[tuple[ast.expr, "Place"]]] = field(default_factory=dict)
    """What its local names are assigned, each with where."""

    def defaults(self) -> dict[str, ast.expr]:
        """Return the parameters that have a default, with it."""
        if isinstance(self.node, ast.Module):
            return {}
        arguments = self.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        found = dict(zip([each.arg for each in positional[::-1]], arguments.defaults[::-1], strict=False))
        keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return {**found, **{each.arg: default for each, default in keyword if default is not None}}

    def parameters(self) -> list[str]:
        """Return the names of its parameters, in order, ``self`` included."""
        if isinstance(self.node, ast.Module):
            return []
        arguments = self.node.args
        return [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]

    def position(self, name: str) -> int:
        """Return at which position a call gives a parameter; ``self`` and ``cls`` are no position."""
        names = self.parameters()
        return names.index(name) - (1 if names[:1] in (["self"], ["cls"]) else 0)

    @property
    def decorators(self) -> list[ast.expr]:
        """Its decorators."""
        return [] if isinstance(self.node, ast.Module) else self.node.decorator_list

    @property
    def lines(self) -> tuple[int, int]:
        """Its first and last line."""
        if isinstance(self.node, ast.Module):
            return 1, self.module.source.text.count("\n") + 1
        return self.node.lineno, self.node.end_lineno or self.node.lineno


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where something stands, and what has to hold for it to be reached."""

    function: Function
    tests: tuple[tuple[ast.expr, bool], ...] = ()
    """The conditions around it, each with whether it must be true or false."""
    withs: tuple[ast.expr, ...] = ()
    """The context managers it stands in, the outermost first."""
    loops: int = 0
    """How many loops of this function it stands in."""
    statement: ast.stmt | None = None

    @property
    def module(self) -> "Module":
        """The module it stands in."""
        return self.function.module


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call, and where it stands."""

    node: ast.Call
    place: Place

    @property
    def name(self) -> str:
        """The last part of what is called: ``autocast`` of ``torch.cuda.amp.autocast``."""
        return last_name(self.node.func)

    def argument(self, name: str, position: int | None = None) -> ast.expr | None:
        """Return the argument given by ``name``, or by ``position``, if any."""
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
        if position is not None and 0 <= position < len(self.node.args):
            given = self.node.args[position]
            return None if isinstance(given, ast.Starred) else given
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A file of Python, as facts."""

    source: Source
    imports: dict[str, str] = field(default_factory=dict)
    """Local name → dotted name that it stands for (relative imports keep their dots)."""
    stars: list[str] = field(default_factory=list)
    classes: dict[str, Class] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    """All of them, nested ones and methods too; the first is the module's own level."""
    calls: list[Call] = field(default_factory=list)
    statements: list[Place] = field(default_factory=list)
    """Every statement, in order."""

    @property
    def name(self) -> str:
        """The file's name, relative to the project."""
        return self.source.name

    def dotted(self, expression: ast.expr) -> str:
        """Return what a chain of names stands for by this module's imports; ``""`` if it is no such chain."""
        parts: list[str] = []
        while isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return ""
        parts.append(self.imports.get(expression.id, expression.id))
        return ".".join(reversed(parts))


def last_name(expression: ast.expr) -> str:
    """Return the last part of a chain of names, or ``""``."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def root_name(expression: ast.expr) -> str:
    """Return the first part of a chain of names, calls and subscripts, or ``""``."""
    while isinstance(expression, ast.Attribute | ast.Call | ast.Subscript):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else ""


def module_of(source: Source) -> Module:
    """Return the facts of ``source``."""
    module = Module(source)
    top = Function("", source.tree, module, None, None)
    module.functions.append(top)
    _Reader(module).body(source.tree.body, Place(top))
    return module


class _Reader:
    """Walks the statements once; expressions only where they may hold calls."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._inside: Class | None = None
        """The class whose body is being read, not that of a method."""

    def body(self, statements: list[ast.stmt], place: Place) -> None:
        for statement in statements:
            here = Place(place.function, place.tests, place.withs, place.loops, statement)
            self._module.statements.append(here)
            self._statement(statement, here)

    def _statement(self, statement: ast.stmt, place: Place) -> None:  # noqa: C901 - one case a kind of statement
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(statement, place)
            case ast.ClassDef():
                self._class(statement, place)
            case ast.Import() | ast.ImportFrom():
                self._import(statement)
            case ast.If():
                self._calls(statement.test, place)
                self.body(statement.body, _under(place, tests=(statement.test, True)))
                self.body(statement.orelse, _under(place, tests=(statement.test, False)))
            case ast.With() | ast.AsyncWith():
                inner = place
                for item in statement.items:
                    self._calls(item.context_expr, inner)
                    inner = _under(inner, withs=item.context_expr)
                self.body(statement.body, inner)
            case ast.For() | ast.AsyncFor() | ast.While():
                head = statement.test if isinstance(statement, ast.While) else statement.iter
                self._calls(head, place)
                self.body(statement.body, _under(place, loops=1))
                self.body(statement.orelse, place)
            case ast.Try():
                for part in (statement.body, *(handler.body for handler in statement.handlers)):
                    self.body(part, place)
                self.body([*statement.orelse, *statement.finalbody], place)
            case ast.Match():
                self._calls(statement.subject, place)
                for case in statement.cases:
                    self.body(case.body, place)
            case _:
                self._assign(statement, place)
                self._calls(statement, place)

    def _function(self, node: FunctionNode, place: Place) -> None:
        outer = place.function
        inside, self._inside = self._inside, None
        function = Function(node.name, node, self._module, inside or outer.cls, outer)
        self._module.functions.append(function)
        if inside is not None:
            inside.methods.setdefault(node.name, function)
        for expression in (*node.args.defaults, *node.args.kw_defaults):
            if expression is not None:
                self._calls(expression, place)
        for decorator in node.decorator_list:
            # `@autocast()` is about what the function does.
            self._calls(decorator, Place(function))
        self.body(node.body, Place(function))
        self._inside = inside

    def _class(self, node: ast.ClassDef, place: Place) -> None:
        cls = Class(node, self._module)
        self._module.classes[node.name] = cls
        for statement in node.body:
            target, value = _single(statement)
            if isinstance(target, ast.Name) and value is not None:
                cls.attributes.setdefault(target.id, []).append((value, place))
        inside, self._inside = self._inside, cls
        self.body(node.body, place)
        self._inside = inside

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for name in node.names:
                local = name.asname or name.name.partition(".")[0]
                self._module.imports[local] = name.name if name.asname else local
            return
        prefix = "." * node.level + (node.module or "")
        for name in node.names:
            if name.name == "*":
                if prefix not in self._module.stars:
                    self._module.stars.append(prefix)
            else:
                joint = "" if prefix.endswith(".") else "."
                self._module.imports[name.asname or name.name] = f"{prefix}{joint}{name.name}"

    def _assign(self, statement: ast.stmt, place: Place) -> None:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            return
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            for name, value in _bindings(target, statement.value):
                if isinstance(name, ast.Name):
                    place.function.names.setdefault(name.id, []).append((value, place))
                elif isinstance(name, ast.Attribute) and root_name(name) == "self" and place.function.cls:
                    place.function.cls.attributes.setdefault(name.attr, []).append((value, place))

    def _calls(self, node: ast.AST, place: Place) -> None:
        self._module.calls.extend(Call(found, place) for found in ast.walk(node) if isinstance(found, ast.Call))


def _under(
    place: Place, tests: tuple[ast.expr, bool] | None = None, withs: ast.expr | None = None, loops: int = 0
) -> Place:
    return Place(
        place.function,
        (*place.tests, tests) if tests else place.tests,
        (*place.withs, withs) if withs else place.withs,
        place.loops + loops,
        place.statement,
    )


def _single(statement: ast.stmt) -> tuple[ast.expr | None, ast.expr | None]:
    if isinstance(statement, ast.AnnAssign):
        return statement.target, statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0], statement.value
    return None, None


def _bindings(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value
