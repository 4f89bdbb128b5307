"""Parse one module of a wheel: what it imports and uses when it is imported, and which names it binds.

No code of the wheel runs.
"""

import ast
import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LAZY_MARKERS = frozenset({"_LazyModule", "_import_structure", "_SUBMOD_ATTRS", "_attach", "__getattr__"})
"""Names in a module that resolves its attributes lazily, so that no statement binds them."""
SOFT = "~"
"""Begins a guard that counts as met if it cannot be evaluated: a function is known to run on after an early return."""

OBJECTS = {"accelerator": "accelerate.accelerator.Accelerator"}
"""Attributes of ``self`` in the methods of trainers, with the class of the object that they hold."""

Guards = tuple[str, ...]
"""Source texts of the conditions under which something runs; all of them must hold."""


class Import(NamedTuple):
    """One imported name."""

    module: str
    symbol: str
    """Empty if the module itself is imported."""
    guards: Guards = ()


class Use(NamedTuple):
    """One attribute of a module that is read: ``torch.float8_e8m0fnu``."""

    dotted: str
    guards: Guards = ()


class InitCall(NamedTuple):
    """A class that passes keywords to the ``__init__`` of a base class that it imports."""

    base: str
    """The full name of the base class: ``transformers.Trainer``."""
    keywords: tuple[str, ...]


class Contents(NamedTuple):
    """The imports and names of one module."""

    imports: tuple[Import, ...]
    """Imports that run, or run under guards, when the module is imported; none that a ``try`` protects."""
    uses: tuple[Use, ...]
    """Attributes of imported modules that are read when the module is imported; none that a ``try`` protects."""
    all_imports: tuple[Import, ...]
    """Also those in a ``try``, but none for type checkers only."""
    typing_imports: tuple[Import, ...]
    """Imports for type checkers only: in a lazy package they show where its names come from."""
    bound_names: frozenset[str]
    """Names that a top-level statement binds, conditionally or not."""
    lazy_names: frozenset[str]
    """Every string in a module that resolves its attributes lazily; empty for other modules."""
    init_calls: tuple[InitCall, ...] = ()


EMPTY = Contents((), (), (), (), frozenset(), frozenset())


def parse(source: bytes) -> ast.Module | None:
    """Return the syntax tree of a module; ``None`` if it is not valid Python 3."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def contents(tree: ast.Module, source: bytes, module: str, *, is_package: bool) -> Contents:
    """Return the contents of the module with this name; ``tree`` is the syntax tree of ``source``."""
    anchor = Anchor(module, is_package)
    reader = _Reader(tree, anchor)
    reader.read(tree.body, ())
    return Contents(
        imports=tuple(reader.imports),
        uses=tuple(dict.fromkeys(reader.uses)),
        all_imports=tuple(entry for node in possible(tree.body) for entry in imported(node, anchor, ())),
        typing_imports=tuple(entry for node in _for_typing(tree.body) for entry in imported(node, anchor, ())),
        bound_names=frozenset(bindings(tree)),
        lazy_names=frozenset(strings(tree)) if _is_lazy(tree, source) else frozenset(),
        init_calls=tuple(reader.init_calls(tree.body)),
    )


class FunctionContents(NamedTuple):
    """What a function does when it runs."""

    imports: tuple[Import, ...]
    uses: tuple[Use, ...]
    refusals: tuple[Guards, ...]
    """The guards of each statement that raises an exception."""
    calls: tuple[tuple[str, Guards], ...]
    """The functions that it calls by a plain name, with the guards of the call."""


def of_function(tree: ast.Module, name: str, module: str, *, is_package: bool) -> FunctionContents | None:
    """Return what the function ``name`` (``Class.method`` for a method) does when it runs; ``None``: there is none.

    The function is taken to run to its end, except where a guard that can be evaluated says otherwise.
    """
    body: Sequence[ast.stmt] = tree.body
    for part in name.split("."):
        node = next((node for node in possible(body) if isinstance(node, DEFINITIONS) and node.name == part), None)
        if node is None:
            return None
        body = node.body
    reader = _Reader(tree, Anchor(module, is_package), soft=SOFT)
    reader.read(body, ())
    uses, calls = dict.fromkeys(reader.uses), dict.fromkeys(reader.calls)
    return FunctionContents(tuple(reader.imports), tuple(uses), tuple(reader.refusals), tuple(calls))


class _Inlined(ast.NodeTransformer):
    """Replaces local names by what was assigned to them, so that an expression can be evaluated outside."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node)


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


class Anchor(NamedTuple):
    """Where relative imports start."""

    module: str
    is_package: bool

    def absolute(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module that ``node`` imports from."""
        base = node.module or ""
        if not node.level:
            return base
        parts = self.module.split(".")
        # One dot is the package itself in __init__.py, and the parent in any other module.
        anchor = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*anchor, *([base] if base else [])])


def imported(node: ast.stmt, anchor: Anchor, guards: Guards) -> Iterator[Import]:
    """Yield what a statement imports, relative imports by their full names."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, "", guards)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Import(anchor.absolute(node), alias.name, guards)


class _Reader:
    """Collects what runs when the statements of a module, or of one of its functions, run."""

    def __init__(self, tree: ast.Module, anchor: Anchor, soft: str = "") -> None:
        self.imports: list[Import] = []
        self.uses: list[Use] = []
        self.refusals: list[Guards] = []
        self.calls: list[tuple[str, Guards]] = []
        self._anchor = anchor
        self._soft = soft
        self._locals: dict[str, ast.expr] = {}
        self._aliases = _aliases(tree, anchor)
        self._reads_annotations = not any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
        )

    def read(self, body: Iterable[ast.stmt], guards: Guards) -> None:
        """Read statements that run one after the other."""
        for node in body:
            self._read_statement(node, guards)
            if isinstance(node, ast.If) and node.body and isinstance(node.body[-1], ast.Return | ast.Raise):
                # What follows runs only if this branch was not taken.
                guards = (*guards, self._soft + _negated(self._text(node.test)))

    def _text(self, node: ast.expr) -> str:
        """Return the source of an expression, with the local names of a function replaced."""
        return ast.unparse(_Inlined(self._locals).visit(copy.deepcopy(node)) if self._locals else node)

    def _read_statement(self, node: ast.stmt, guards: Guards) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imports.extend(imported(node, self._anchor, guards))
            self._aliases.update(bound_by(node, self._anchor))
        elif isinstance(node, ast.Raise):
            self.refusals.append(guards)
        elif isinstance(node, ast.If):
            text = self._text(node.test)
            if not is_type_checking(node.test):
                self._read_expression(node.test, guards)
                self.read(node.body, (*guards, text))
            self.read(node.orelse, (*guards, _negated(text)))
        elif isinstance(node, ast.Try | ast.With):
            self._read_block(node, guards)
        elif isinstance(node, DEFINITIONS):
            self._read_definition(node, guards)
        elif not isinstance(node, ast.For | ast.While | ast.AsyncFor | ast.AsyncWith):
            self._read_simple(node, guards)

    def _read_block(self, node: ast.Try | ast.With, guards: Guards) -> None:
        """Read a block, unless what it needs may be missing: an exception in it is caught."""
        if isinstance(node, ast.With):
            if not any("suppress" in ast.unparse(item.context_expr) for item in node.items):
                self.read(node.body, guards)
        elif not node.handlers:
            self.read([*node.body, *node.finalbody], guards)
        elif self._soft:
            self._assign(node.body)

    def _read_simple(self, node: ast.stmt, guards: Guards) -> None:
        if self._soft:
            self._assign([node])
        for child in ast.iter_child_nodes(node):
            is_annotation = isinstance(node, ast.AnnAssign) and child is node.annotation
            if isinstance(child, ast.expr) and (self._reads_annotations or not is_annotation):
                self._read_expression(child, guards)

    def _assign(self, body: Iterable[ast.stmt]) -> None:
        """Remember what a function assigns to its local names."""
        for node in body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self._locals[node.targets[0].id] = _Inlined(self._locals).visit(copy.deepcopy(node.value))

    def _read_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, guards: Guards) -> None:
        expressions = [*node.decorator_list]
        if isinstance(node, ast.ClassDef):
            expressions += [*node.bases, *(keyword.value for keyword in node.keywords)]
            self.read(node.body, guards)
        else:
            expressions += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
            if self._reads_annotations:
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                annotations = [*(argument.annotation for argument in arguments), node.returns]
                expressions += [annotation for annotation in annotations if annotation]
        for expression in expressions:
            self._read_expression(expression, guards)

    def init_calls(self, body: Iterable[ast.stmt]) -> Iterator[InitCall]:
        """Yield the calls ``super().__init__(keyword=...)`` that classes always make to one imported base."""
        for node in body:
            if not isinstance(node, ast.ClassDef) or len(node.bases) != 1:
                continue
            base = node.bases[0]
            dotted = self._aliases.get(base.id, "") if isinstance(base, ast.Name) else ""
            for call in _init_calls(node) if dotted else ():
                yield InitCall(dotted, tuple(keyword.arg for keyword in call.keywords if keyword.arg))

    def _read_expression(self, node: ast.expr, guards: Guards) -> None:
        if isinstance(node, ast.IfExp):
            text = ast.unparse(node.test)
            self._read_expression(node.body, (*guards, text))
            self._read_expression(node.orelse, (*guards, _negated(text)))
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                self._read_expression(value, guards)
                text = ast.unparse(value)
                guards = (*guards, text if isinstance(node.op, ast.And) else _negated(text))
        elif isinstance(node, ast.Attribute) and (dotted := self._dotted(node)):
            if isinstance(node.ctx, ast.Load):
                self.uses.append(Use(dotted, guards))
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                self.calls.append((node.func.id, guards))
            for child in ast.iter_child_nodes(node):
                part = child.value if isinstance(child, ast.keyword) else child
                if isinstance(part, ast.expr):
                    self._read_expression(part, guards)

    def _dotted(self, node: ast.Attribute) -> str:
        """Return the full name of an attribute of an imported module, or of an object of ``OBJECTS``.

        It is empty if the attribute is one of something else.
        """
        names = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            names.append(value.attr)
            value = value.value
        base = self._aliases.get(value.id, "") if isinstance(value, ast.Name) else ""
        if self._soft and isinstance(value, ast.Name) and value.id == "self" and len(names) > 1:
            base = OBJECTS.get(names.pop(), "")
        return ".".join([base, *reversed(names)]) if base else ""


def _init_calls(node: ast.ClassDef) -> Iterator[ast.Call]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            for statement in method.body:
                call = statement.value if isinstance(statement, ast.Expr) else None
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield call


def _negated(text: str) -> str:
    return f"not ({text})"


def _aliases(tree: ast.Module, anchor: Anchor) -> dict[str, str]:
    """Return the full names of what a module's top level imports, by the names that it gives them."""
    aliases: dict[str, str] = {}
    for node in possible(tree.body):
        aliases.update(bound_by(node, anchor))
    for node in possible(tree.body):
        if isinstance(node, ast.Assign):
            # A name that is also assigned may be something else.
            for target in node.targets:
                if isinstance(target, ast.Name):
                    aliases.pop(target.id, None)
    return aliases


def bound_by(node: ast.stmt, anchor: Anchor) -> Iterator[tuple[str, str]]:
    """Yield the names that an import statement binds, with the full names of what they stand for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{anchor.absolute(node)}.{alias.name}"


def possible(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that can run when a module is imported, under any condition but that of type checkers."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            if not is_type_checking(node.test):
                yield from possible(node.body)
            yield from possible(node.orelse)
        elif isinstance(node, ast.Try):
            handlers = [handler.body for handler in node.handlers]
            for block in (node.body, node.orelse, node.finalbody, *handlers):
                yield from possible(block)
        elif isinstance(node, ast.With | ast.For):
            yield from possible(node.body)


def _for_typing(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and is_type_checking(node.test):
            yield from possible(node.body)


def is_type_checking(test: ast.expr) -> bool:
    """Return whether a condition holds for type checkers only."""
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def bindings(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Yield the names that the statements of a module or a class bind, conditionally or not."""
    for node in possible(tree.body):
        if isinstance(node, DEFINITIONS):
            yield node.name
            if node.name == "__getattr__":
                # The names that it knows are attributes of the module, such as deprecated ones.
                yield from strings(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _is_lazy(tree: ast.Module, source: bytes) -> bool:
    # Walking a whole tree is slow, and few modules have one of these words.
    if not any(marker.encode() in source for marker in LAZY_MARKERS):
        return False
    return any(isinstance(node, ast.Name) and node.id in LAZY_MARKERS for node in ast.walk(tree))


def strings(tree: ast.AST) -> set[str]:
    """Return every string in a syntax tree."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
