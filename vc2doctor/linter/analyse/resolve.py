"""Resolves names across the files of a project: modules, classes, functions, calls and configurations."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from posixpath import normpath

from vc2doctor.linter.analyse.config_keys import CONFIG_NAMES
from vc2doctor.linter.read.arguments import Argument, arguments_of
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Module, Place, last_name
from vc2doctor.linter.read.project import ProjectFiles

MAX_HOPS = 8
"""Re-exports that are followed for one name. Real code has fewer, and the limit ends circular imports."""
MAX_BASES = 4 * MAX_HOPS
"""Base classes that are collected for one class. The limit ends circular inheritance."""

LIBRARIES = frozenset(
    {
        *("torch", "transformers", "peft", "trl", "accelerate", "diffusers", "datasets", "bitsandbytes", "timm"),
        *("pytorch_lightning", "lightning", "deepspeed", "mmengine", "mmcv", "sentence_transformers", "open_clip"),
    }
)
"""Packages whose classes are those of a project only if the project contains a module of the same name."""

Definition = Module | Class | Function


@dataclass(frozen=True, eq=False)
class Unit:
    """The files that one set of requirements belongs to. A repository can hold several units."""

    folder: str
    """Relative to the root; ``""`` is the root."""
    modules: tuple[Module, ...]
    configs: tuple[Config, ...]
    launches: tuple[Launch, ...]

    @cached_property
    def classes(self) -> Mapping[str, list[Class]]:
        """The classes by name."""
        by_name: dict[str, list[Class]] = defaultdict(list)
        for module in self.modules:
            for cls in module.classes.values():
                by_name[cls.name].append(cls)
        return by_name

    @cached_property
    def configs_by_class(self) -> Mapping[str, list[Config]]:
        """The configurations that name a class as a value (``model_cls="Chat"``), by the name of the class."""
        by_class: dict[str, list[Config]] = defaultdict(list)
        for config in self.configs:
            texts = {entry.value for entry in config.entries if isinstance(entry.value, str)}
            for name in texts & set(self.classes):
                by_class[name].append(config)
        return by_class

    @cached_property
    def arguments(self) -> Mapping[str, list[Argument]]:
        """The command-line arguments that the code declares, by name."""
        by_name: dict[str, list[Argument]] = defaultdict(list)
        for module in self.modules:
            for argument in arguments_of(module):
                by_name[argument.name].append(argument)
        return by_name

    @cached_property
    def calls(self) -> Mapping[str, list[Call]]:
        """The calls by the last part of the callee's name."""
        by_name: dict[str, list[Call]] = defaultdict(list)
        for module in self.modules:
            for call in module.calls:
                by_name[call.name].append(call)
        return by_name

    @cached_property
    def set_on_configs(self) -> Mapping[str, list[Assigned]]:
        """The values that code gives to keys of its configuration (``args.fp16 = True``), by the name of the key."""
        by_name: dict[str, list[Assigned]] = defaultdict(list)
        for module in self.modules:
            for place in module.statements:
                match place.statement:
                    case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=owner), attr=name)], value=value):
                        if owner in CONFIG_NAMES:
                            by_name[name].append((value, place))
        return by_name

    def unpacks_into(self, cls: Class) -> bool:
        """Return whether a call of the unit unpacks a dictionary into a class: ``TrainConfig(**settings)``."""
        return any(keyword.arg is None for call in self.calls.get(cls.node.name, []) for keyword in call.node.keywords)


class CodeFacts:
    """The files of a project, and what the names in them mean."""

    def __init__(self, files: ProjectFiles) -> None:
        self.files = files
        self._import_closures: dict[Module, frozenset[Module]] = {}
        self._companions: dict[Module, frozenset[Module]] = {}

    @cached_property
    def units(self) -> Mapping[str, Unit]:
        """The units by folder."""
        return {folder: self._unit(folder) for folder in sorted(set(self.files.folders.values()))}

    def _unit(self, folder: str) -> Unit:
        files, folders = self.files, self.files.folders
        return Unit(
            folder,
            modules=tuple(module for module in files.modules.values() if folders[module.name] == folder),
            configs=tuple(config for config in files.configs if folders[config.name] == folder),
            launches=tuple(launch for launch in files.launches if folders[launch.script] == folder),
        )

    def folder_of(self, name: str) -> str:
        """Return the folder of a file's unit; ``""`` (the root) for a file that was not read."""
        return self.files.folders.get(name, "")

    def requirements_folder_of(self, name: str) -> str:
        """Return the nearest folder of a file that asks for versions; the folder of its unit if none is nearer."""
        folder, unit = name.rpartition("/")[0], self.folder_of(name)
        while folder != unit and folder and not self.files.requirements.get(folder):
            folder = folder.rpartition("/")[0]
        return folder

    def unit_of(self, module: Module) -> Unit:
        """Return the unit of a module."""
        return self.units[self.files.folders[module.name]]

    def version(self, unit: Unit, package: str) -> str | None:
        """Return the version that a unit will run with: the installed one, else the unit's pin, else the root's."""
        return (
            self.files.installed.get(package)
            or self.files.pins.get(unit.folder, {}).get(package)
            or self.files.pins.get("", {}).get(package)
        )

    def module_named(self, module: Module, dotted: str) -> Module | None:
        """Return the module of the project that ``import dotted`` in ``module`` means, or ``None``."""
        folder = module.name.rpartition("/")[0]
        if dotted.startswith("."):
            level = len(dotted) - len(dotted.lstrip("."))
            package = normpath("/".join([folder or ".", *[".."] * (level - 1)]))
            return self._module_below("" if package == "." else package, dotted.lstrip("."))
        # The folder on sys.path is unknown: the folder of the module and every folder above it can be the one.
        while True:
            imported = self._module_below(folder, dotted)
            if imported is not None or not folder:
                return imported
            folder = folder.rpartition("/")[0]

    def _module_below(self, folder: str, dotted: str) -> Module | None:
        stem = "/".join(part for part in (folder, dotted.replace(".", "/")) if part)
        package = f"{stem}/__init__.py" if stem else "__init__.py"
        # Of a package and a file with one name in one folder, Python imports the package.
        return self.files.modules.get(package) or self.files.modules.get(f"{stem}.py")

    def resolve(self, module: Module, dotted: str, hops: int = 0) -> Definition | None:
        """Return the definition that a dotted name in ``module`` means, through imports and re-exports, or ``None``."""
        if hops > MAX_HOPS or not dotted:
            return None
        first, _, rest = dotted.partition(".")
        if not rest and first:
            return self._definition_in(module, first, hops)
        parts = dotted.split(".")
        # In `a.b.c`, the longest prefix that is a module owns the rest.
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            owner = self.module_named(module, prefix) if prefix.strip(".") else None
            if owner is not None:
                return self._member(owner, parts[length:], hops)
        cls = self._definition_in(module, first, hops) if first else None
        return cls.methods.get(rest) if isinstance(cls, Class) else None

    def _member(self, owner: Module, path: list[str], hops: int) -> Definition | None:
        """Return what ``path`` means in a module: the module itself, a class or function, or a method of a class."""
        if not path:
            return owner
        definition = self._definition_in(owner, path[0], hops + 1)
        if isinstance(definition, Class) and len(path) > 1:
            return self.method(definition, path[1])
        return definition if len(path) == 1 else None

    def _definition_in(self, module: Module, name: str, hops: int) -> Definition | None:
        """Return what a simple name at the level of a module means."""
        if hops > MAX_HOPS:
            return None
        if name in module.classes:
            return module.classes[name]
        for function in module.functions:
            if function.name == name and function.cls is None and (function.outer is None or not function.outer.name):
                return function
        imported = module.imports.get(name)
        if imported is not None and imported != name:
            return self.resolve(module, imported, hops + 1)
        for dotted in module.star_imports:
            source = self.module_named(module, dotted)
            definition = self._definition_in(source, name, hops + 1) if source is not None else None
            if definition is not None:
                return definition
        return None

    def import_closure(self, module: Module) -> frozenset[Module]:
        """Return the module and all modules of the project that it imports, directly or through others."""
        closure = self._import_closures.get(module)
        if closure is None:
            seen, waiting = {module}, [module]
            while waiting:
                new = set(self._imported_modules(waiting.pop())) - seen
                seen |= new
                waiting.extend(new)
            closure = self._import_closures[module] = frozenset(seen)
        return closure

    def together_with(self, module: Module) -> frozenset[Module]:
        """Return the modules that are imported together with this one by some module of the unit, that one included."""
        if module not in self._companions:
            closures = (self.import_closure(each) for each in self.unit_of(module).modules)
            self._companions[module] = frozenset().union(*(closure for closure in closures if module in closure))
        return self._companions[module]

    def _imported_modules(self, module: Module) -> Iterator[Module]:
        for dotted in {*module.imports.values(), *module.star_imports}:
            # `from a.b import c`: c is a module, or a name in the module b.
            for name in (dotted, dotted.rpartition(".")[0]):
                imported = self.module_named(module, name) if name.strip(".") else None
                if imported is not None:
                    yield imported
                    break

    def class_named(self, module: Module, expression: ast.expr) -> Class | None:
        """Return the class an expression names: by imports, else the unit's only class of that name, or ``None``."""
        dotted = module.dotted(expression)
        definition = self.resolve(module, dotted)
        if isinstance(definition, Class):
            return definition
        if dotted.partition(".")[0] in LIBRARIES and self.module_named(module, dotted.partition(".")[0]) is None:
            # `class Trainer(transformers.Trainer)`: the base is not a class of the project that has its name.
            return None
        same_name = self.unit_of(module).classes.get(last_name(expression), [])
        return same_name[0] if len(same_name) == 1 else None

    def mro(self, cls: Class) -> list[Class]:
        """Return the class and its base classes within the project, the nearest first."""
        order: list[Class] = []
        waiting = [cls]
        while waiting and len(order) <= MAX_BASES:
            current = waiting.pop(0)
            if current not in order:
                order.append(current)
                bases = (self.class_named(current.module, base) for base in current.node.bases)
                waiting.extend(base for base in bases if base is not None)
        return order

    def base_names(self, cls: Class) -> Iterator[str]:
        """Yield the dotted names of all base classes, also of those outside the project."""
        for owner in self.mro(cls):
            for base in owner.node.bases:
                yield owner.module.dotted(base)

    def extends_trainer(self, cls: Class) -> bool:
        """Return whether a class extends a trainer, by the names of its bases."""
        return any(base.endswith("Trainer") for base in self.base_names(cls))

    def is_lightning_module(self, cls: Class) -> bool:
        """Return whether a class extends Lightning's own module, by the names of its bases."""
        return any(base.rpartition(".")[2] == "LightningModule" for base in self.base_names(cls))

    @cached_property
    def _subclasses(self) -> Mapping[Class, list[Class]]:
        subclasses: dict[Class, list[Class]] = defaultdict(list)
        for module in self.files.modules.values():
            for cls in module.classes.values():
                for base in self.mro(cls)[1:]:
                    subclasses[base].append(cls)
        return subclasses

    def related_classes(self, cls: Class) -> list[Class]:
        """Return the class, its base classes and its subclasses within the project."""
        return [*self.mro(cls), *self._subclasses.get(cls, [])]

    def method(self, cls: Class, name: str) -> Function | None:
        """Return the method that a class has or inherits, or ``None``."""
        return _first_method(self.mro(cls), name)

    def callee(self, call: Call) -> Function | None:
        """Return the function or method of the project that a call goes to, as far as it can be read.

        The callee of a call that constructs an object is the ``__init__`` of its class.
        """
        place, function = call.place, call.node.func
        cls = place.function.cls
        if isinstance(function, ast.Attribute) and cls is not None:
            if isinstance(function.value, ast.Name) and function.value.id in ("self", "cls"):
                return self.method(cls, function.attr)
            if isinstance(function.value, ast.Call) and last_name(function.value.func) == "super":
                return _first_method(self.mro(cls)[1:], function.attr)
        if isinstance(function, ast.Name):
            nested = _nested_function(place, function.id)
            if nested is not None:
                return nested
        definition = self.resolve(place.module, place.module.dotted(function))
        if isinstance(definition, Class):
            return self.method(definition, "__init__")
        return definition if isinstance(definition, Function) else None

    @cached_property
    def _callers(self) -> Mapping[Function, list[Call]]:
        callers: dict[Function, list[Call]] = defaultdict(list)
        modules = self.files.modules.values()
        names = {function.name for module in modules for function in module.functions}
        names |= {name for module in modules for name in module.classes}
        for module in modules:
            for call in module.calls:
                callee = self.callee(call) if call.name in names else None
                if callee is not None:
                    callers[callee].append(call)
        return callers

    def callers(self, function: Function) -> list[Call]:
        """Return the calls in the project that are known to go to a function."""
        return self._callers.get(function, [])

    def configs_of(self, place: Place) -> list[Config]:
        """Return the configurations that code at ``place`` reads: those that name its class, else all of its unit.

        JSON files are left out: they are read by an engine such as DeepSpeed and not by the project's code.
        """
        unit, cls = self.unit_of(place.module), place.function.cls
        configs = [config for config in unit.configs if config.read_by == "code"]
        naming_class = unit.configs_by_class.get(cls.name, []) if cls is not None else []
        return naming_class or configs

    def same_name_calls(self, function: Function) -> list[Call]:
        """Return the calls in the unit of any method with the name of this one, whatever the class of the object."""
        if function.cls is None:
            return []
        calls = self.unit_of(function.module).calls.get(function.name, [])
        return [call for call in calls if isinstance(call.node.func, ast.Attribute)]


def _first_method(classes: list[Class], name: str) -> Function | None:
    return next((cls.methods[name] for cls in classes if name in cls.methods), None)


def _nested_function(place: Place, name: str) -> Function | None:
    """Return the function of this name that is defined in the function of ``place``, or in one around it."""
    for scope in place.function.scopes():
        for function in place.module.functions:
            if function.name == name and function.outer is scope and function.cls is scope.cls:
                return function
    return None
