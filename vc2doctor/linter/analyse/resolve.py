"""CodeFacts: all modules, configurations and launch scripts of a project, and how names lead from one to another."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from posixpath import normpath

from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.module import Call, Class, Function, Module, Place, last_name
from vc2doctor.linter.read.project import ProjectFiles
from vc2doctor.linter.read.shell import Launch

MAX_HOPS = 8
"""Re-exports and base classes are followed so far; nobody writes longer chains, and circles end."""

Definition = Module | Class | Function


@dataclass(frozen=True, eq=False)
class Unit:
    """A project in the narrow sense: what one set of requirements belongs to. Repositories hold several."""

    folder: str
    """Relative to the root; ``""``: the root."""
    modules: tuple[Module, ...]
    configs: tuple[Config, ...]
    launches: tuple[Launch, ...]
    code: "CodeFacts" = field(repr=False)

    @cached_property
    def classes(self) -> Mapping[str, list[Class]]:
        """The classes by name."""
        found: dict[str, list[Class]] = defaultdict(list)
        for module in self.modules:
            for cls in module.classes.values():
                found[cls.name].append(cls)
        return found

    @cached_property
    def configs_by_class(self) -> Mapping[str, list[Config]]:
        """The configurations by the names of classes that they hold as values: ``model_cls="Chat"``."""
        found: dict[str, list[Config]] = defaultdict(list)
        for config in self.configs:
            for name in {entry.value for entry in config.entries if isinstance(entry.value, str)} & set(self.classes):
                found[name].append(config)
        return found

    @cached_property
    def calls(self) -> Mapping[str, list[Call]]:
        """The calls by the last part of what is called."""
        found: dict[str, list[Call]] = defaultdict(list)
        for module in self.modules:
            for call in module.calls:
                found[call.name].append(call)
        return found


class CodeFacts:
    """How names lead from one file of a project to another."""

    def __init__(self, files: ProjectFiles) -> None:
        self.files = files
        self._closures: dict[Module, frozenset[Module]] = {}

    @cached_property
    def units(self) -> Mapping[str, Unit]:
        """The units by folder."""
        return {folder: self._unit(folder) for folder in sorted(set(self.files.folders.values()))}

    def _unit(self, folder: str) -> Unit:
        return Unit(
            folder,
            modules=tuple(
                module for module in self.files.modules.values() if self.files.folders[module.name] == folder
            ),
            configs=tuple(config for config in self.files.configs if self.files.folders[config.name] == folder),
            launches=tuple(launch for launch in self.files.launches if self.files.folders[launch.name] == folder),
            code=self,
        )

    def folder_of(self, name: str) -> str:
        """Return the folder of the unit a file belongs to; ``""``, the root's, for one that was not read."""
        return self.files.folders.get(name, "")

    def unit_of(self, module: Module) -> Unit:
        """Return the unit a module belongs to."""
        return self.units[self.files.folders[module.name]]

    def version(self, unit: Unit, package: str) -> str | None:
        """Return the version that a unit will run with: what is installed, else its own pin or the root's."""
        return (
            self.files.installed.get(package)
            or self.files.pins.get(unit.folder, {}).get(package)
            or self.files.pins.get("", {}).get(package)
        )

    def module_named(self, module: Module, dotted: str) -> Module | None:
        """Return the project's module that ``dotted`` means when ``module`` imports it."""
        folder = module.name.rpartition("/")[0]
        if dotted.startswith("."):
            level = len(dotted) - len(dotted.lstrip("."))
            base = normpath("/".join([folder or ".", *[".."] * (level - 1)]))
            return self._file("" if base == "." else base, dotted.lstrip("."))
        while True:
            found = self._file(folder, dotted)
            if found is not None or not folder:
                return found
            folder = folder.rpartition("/")[0]

    def _file(self, folder: str, dotted: str) -> Module | None:
        stem = "/".join(part for part in (folder, dotted.replace(".", "/")) if part)
        return self.files.modules.get(f"{stem}.py") or self.files.modules.get(
            f"{stem}/__init__.py" if stem else "__init__.py"
        )

    def resolve(self, module: Module, dotted: str, depth: int = 0) -> Definition | None:
        """Return what a dotted name means in ``module``, through imports and re-exports."""
        if depth > MAX_HOPS or not dotted:
            return None
        head, _, rest = dotted.partition(".")
        if not rest and head:
            return self._in(module, head, depth)
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            prefix = ".".join(parts[:cut])
            owner = self.module_named(module, prefix) if prefix.strip(".") else None
            if owner is not None:
                return self._member(owner, parts[cut:], depth)
        found = self._in(module, head, depth) if head else None
        return found.methods.get(rest) if isinstance(found, Class) else None

    def _member(self, owner: Module, path: list[str], depth: int) -> Definition | None:
        if not path:
            return owner
        found = self._in(owner, path[0], depth + 1)
        if isinstance(found, Class) and len(path) > 1:
            return self.method(found, path[1])
        return found if len(path) == 1 else None

    def _in(self, module: Module, name: str, depth: int) -> Definition | None:
        if depth > MAX_HOPS:
            return None
        if name in module.classes:
            return module.classes[name]
        for function in module.functions:
            if function.name == name and function.cls is None and (function.outer is None or not function.outer.name):
                return function
        imported = module.imports.get(name)
        if imported is not None and imported != name:
            return self.resolve(module, imported, depth + 1)
        for star in module.stars:
            source = self.module_named(module, star)
            found = self._in(source, name, depth + 1) if source is not None else None
            if found is not None:
                return found
        return None

    def import_closure(self, module: Module) -> frozenset[Module]:
        """Return the modules that a module imports, directly or through others, and itself."""
        known = self._closures.get(module)
        if known is None:
            seen, waiting = {module}, [module]
            while waiting:
                for found in self._imported(waiting.pop()):
                    if found not in seen:
                        seen.add(found)
                        waiting.append(found)
            known = self._closures[module] = frozenset(seen)
        return known

    def _imported(self, module: Module) -> Iterator[Module]:
        for dotted in {*module.imports.values(), *module.stars}:
            for name in (dotted, dotted.rpartition(".")[0]):
                found = self.module_named(module, name) if name.strip(".") else None
                if found is not None:
                    yield found
                    break

    def class_named(self, module: Module, expression: ast.expr) -> Class | None:
        """Return the project's class that an expression names; where imports do not tell, the unit's only one."""
        found = self.resolve(module, module.dotted(expression))
        if isinstance(found, Class):
            return found
        same = self.unit_of(module).classes.get(last_name(expression), [])
        return same[0] if len(same) == 1 else None

    def mro(self, cls: Class) -> list[Class]:
        """Return the class and its bases within the project, the nearest first."""
        order: list[Class] = []
        waiting = [cls]
        while waiting and len(order) <= MAX_HOPS * 4:
            current = waiting.pop(0)
            if current not in order:
                order.append(current)
                bases = (self.class_named(current.module, base) for base in current.node.bases)
                waiting.extend(base for base in bases if base is not None)
        return order

    def bases(self, cls: Class) -> Iterator[str]:
        """Yield the dotted names of all bases, those outside the project too."""
        for each in self.mro(cls):
            for base in each.node.bases:
                yield each.module.dotted(base)

    @cached_property
    def _subclasses(self) -> Mapping[Class, list[Class]]:
        found: dict[Class, list[Class]] = defaultdict(list)
        for module in self.files.modules.values():
            for cls in module.classes.values():
                for base in self.mro(cls)[1:]:
                    found[base].append(cls)
        return found

    def family(self, cls: Class) -> list[Class]:
        """Return the class, its bases and its subclasses within the project."""
        return [*self.mro(cls), *self._subclasses.get(cls, [])]

    def method(self, cls: Class, name: str) -> Function | None:
        """Return the method a class has or inherits."""
        return next((each.methods[name] for each in self.mro(cls) if name in each.methods), None)

    def called(self, call: Call) -> Function | None:
        """Return the project's function or method that a call means, as far as that can be read."""
        place, function = call.place, call.node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner = place.function.cls
            if function.value.id in ("self", "cls") and owner is not None:
                return self.method(owner, function.attr)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            owner = place.function.cls
            if last_name(function.value.func) == "super" and owner is not None:
                return next(
                    (each.methods[function.attr] for each in self.mro(owner)[1:] if function.attr in each.methods), None
                )
        if isinstance(function, ast.Name):
            inner = self._nested(place, function.id)
            if inner is not None:
                return inner
        found = self.resolve(place.module, place.module.dotted(function))
        if isinstance(found, Class):
            return self.method(found, "__init__")
        return found if isinstance(found, Function) else None

    @staticmethod
    def _nested(place: Place, name: str) -> Function | None:
        outer: Function | None = place.function
        while outer is not None:
            for function in place.module.functions:
                if function.name == name and function.outer is outer and function.cls is outer.cls:
                    return function
            outer = outer.outer
        return None

    @cached_property
    def _callers(self) -> Mapping[Function, list[Call]]:
        found: dict[Function, list[Call]] = defaultdict(list)
        names = {function.name for module in self.files.modules.values() for function in module.functions}
        names |= {name for module in self.files.modules.values() for name in module.classes}
        for module in self.files.modules.values():
            for call in module.calls:
                if call.name in names:
                    target = self.called(call)
                    if target is not None:
                        found[target].append(call)
        return found

    def callers(self, function: Function) -> list[Call]:
        """Return the calls of a function within the project that can be resolved."""
        return self._callers.get(function, [])

    def configs_of(self, place: Place) -> list[Config]:
        """Return the configurations that code at ``place`` reads: those that name its class, else all of its unit."""
        unit, cls = self.unit_of(place.module), place.function.cls
        configs = [config for config in unit.configs if config.kind != "json"]
        naming = unit.configs_by_class.get(cls.name, []) if cls is not None else []
        return naming or configs

    def same_name_calls(self, function: Function) -> list[Call]:
        """Return the method calls of a function's name within its unit, on objects whose class cannot be read."""
        calls = self.unit_of(function.module).calls.get(function.name, [])
        return [call for call in calls if isinstance(call.node.func, ast.Attribute)] if function.cls is not None else []
