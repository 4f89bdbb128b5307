"""Which classes a program uses: by the names that its code mentions, and the names that those definitions mention."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Class, Module, Place
from vc2doctor.linter.read.syntax import walk

_BLOCKS = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With),
    *(ast.AsyncWith, ast.Try, ast.Import, ast.ImportFrom),
)
"""Statements whose own statements have places of their own."""

_BY_TEXT = re.compile(r"\bglobals\(\)\s*\[|(?<![.\w])eval\(|\bimport_module\(|instantiate_from_config")
"""Ways to name a class by a text, which this reading cannot follow."""

Owner = tuple[Module, str]
"""A definition at the level of a module, by name; ``""`` for the code outside of definitions."""


class ProgramReach:
    """The definitions that the programs of one project use."""

    def __init__(self, code: CodeFacts, values: Values) -> None:
        self._code = code
        self._values = values
        self._names: dict[tuple[Module, bool], Mapping[str, frozenset[str]]] = {}
        self._answers: dict[tuple[frozenset[Module], bool], frozenset[Class]] = {}

    def classes_of(self, unit: Unit, modules: frozenset[Module], *, without_named: bool = False) -> frozenset[Class]:
        """Return the classes that programs use which import one of some modules, the modules themselves included.

        With ``without_named``, without those that a run has to choose by name: ``if "mpt" in args.model:``.
        """
        question = modules, without_named
        if question not in self._answers:
            closures = ((module, self._code.import_closure(module)) for module in unit.modules)
            importing = {module: closure for module, closure in closures if modules & closure}
            around = frozenset().union(*importing.values()) if importing else frozenset[Module]()
            self._answers[question] = self._reached(modules, frozenset(importing), around, without_named=without_named)
        return self._answers[question]

    def _reached(
        self, own: frozenset[Module], starts: frozenset[Module], around: frozenset[Module], *, without_named: bool
    ) -> frozenset[Class]:
        """Return the classes among ``around`` that the modules ``own``, and the programs ``starts``, lead to."""
        if any(_BY_TEXT.search(module.source.text) for module in starts):
            mentioned = (self._names_in(module, without_named=without_named) for module in around)
            named = {name for by_owner in mentioned for names in by_owner.values() for name in names}
            classes = (cls for module in around for cls in module.classes.values())
            return frozenset(cls for cls in classes if cls.name in named or self._is_in_a_text(cls, around))
        owners: dict[str, list[Owner]] = defaultdict(list)
        for module in around:
            for name in self._names_in(module, without_named=without_named):
                owners[name].append((module, name))
        waiting = [owner for module in starts for owner in self._entries(module, is_own=module in own)]
        waiting += [(cls.module, cls.name) for module in around for cls in module.classes.values() if _registers(cls)]
        seen = set(waiting)
        while waiting:
            module, name = waiting.pop()
            for other in self._names_in(module, without_named=without_named).get(name, ()):
                new = [owner for owner in owners.get(other, ()) if owner not in seen]
                seen.update(new)
                waiting.extend(new)
        return frozenset(module.classes[name] for module, name in seen if name in module.classes)

    def _is_in_a_text(self, cls: Class, around: frozenset[Module]) -> bool:
        """Return whether a text in code, or a file, ends in the name of a class, or the class is registered."""
        quoted = re.compile(rf"[\"'.]{cls.name}[\"']")
        files = self._code.files
        in_files = any(
            isinstance(entry.value, str) and entry.value.endswith(cls.name)
            for config in files.configs
            for entry in config.entries
        ) or any(cls.name.encode() in data for name, data in files.texts.items() if not name.endswith(".py"))
        return _registers(cls) or in_files or any(quoted.search(module.source.text) for module in around)

    def _entries(self, module: Module, *, is_own: bool) -> list[Owner]:
        """Return the definitions of a program that count as used: its functions, and the classes that run the training.

        A torch module is used only where something mentions it.
        """
        runs = {name for name, cls in module.classes.items() if is_own and _runs_training(cls)}
        mentioned = self._names_in(module, without_named=False)
        names = (name for name in mentioned if name in runs or name not in module.classes)
        return [(module, ""), *((module, name) for name in names)]

    def _names_in(self, module: Module, *, without_named: bool) -> Mapping[str, frozenset[str]]:
        """Return the names that each definition of a module mentions; ``""`` for the code outside of them."""
        question = module, without_named
        if question not in self._names:
            names: dict[str, set[str]] = defaultdict(set)
            for owner, mentioned in self._mentions(module, without_named=without_named):
                names[owner].add(mentioned)
            self._names[question] = {owner: frozenset(mentioned) for owner, mentioned in names.items()}
        return self._names[question]

    def _mentions(self, module: Module, *, without_named: bool) -> Iterator[tuple[str, str]]:
        for cls in module.classes.values():
            yield from ((cls.name, name) for base in cls.node.bases for name in _identifiers(base))
        for place in module.statements:
            statement = place.statement
            if statement is None:
                continue
            scopes = [scope for scope in place.function.scopes() if scope.name]
            cls_ = place.function.cls
            outermost = scopes[-1].name if scopes else _assigned_name(statement)
            owner = cls_.name if cls_ is not None else outermost
            expressions = _own_expressions(statement)
            if expressions and self._is_followed(place, without_named=without_named):
                yield from ((owner, name) for expression in expressions for name in _identifiers(expression))

    def _is_followed(self, place: Place, *, without_named: bool) -> bool:
        """Return whether the names of a statement count: it can be reached, whatever name a run gives if asked."""
        reached = self._values.is_reached(place) if place.conditions else True
        is_named = without_named and ((reached is None and _asks_for_name(place)) or _is_table(place.statement))
        return reached is not False and not is_named


def _is_table(statement: ast.stmt | None) -> bool:
    """Return whether a statement makes a table of definitions by name: ``NORMS = {"rms": RmsNorm}``."""
    table = statement.value if isinstance(statement, ast.Assign) else None
    keys = table.keys if isinstance(table, ast.Dict) else []
    return bool(keys) and all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys)


def _asks_for_name(place: Place) -> bool:
    """Return whether a place is reached only with a certain name: ``if "mpt" in path:``. Its ``else`` is not."""
    return any(
        wanted
        and isinstance(node, ast.Compare)
        and any(
            isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, *node.comparators)
        )
        for condition, wanted in place.conditions
        for node in walk(condition)
    )


def _runs_training(cls: Class) -> bool:
    return "forward" not in cls.methods or "training_step" in cls.methods


def _registers(cls: Class) -> bool:
    """Return whether a decorator puts a class into a registry: ``@MODELS.register_module()``."""
    return any("register" in ast.unparse(decorator) for decorator in cls.node.decorator_list)


def _own_expressions(statement: ast.stmt) -> list[ast.AST]:
    """Return the expressions of a statement, without the statements in it."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return list(statement.decorator_list)
    if not isinstance(statement, _BLOCKS):
        return [statement]
    fields = (getattr(statement, name, None) for name in ("test", "iter"))
    items = [item.context_expr for item in getattr(statement, "items", ())]
    return [*(field for field in fields if isinstance(field, ast.expr)), *items]


def _assigned_name(statement: ast.stmt) -> str:
    """Return the name that a statement at the level of a module defines; ``""`` if it defines none."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""


def _identifiers(node: ast.AST) -> Iterator[str]:
    for inner in walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr
