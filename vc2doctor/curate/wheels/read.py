"""Read one wheel: what its modules need from other packages, and which names it provides.

No code of the wheel runs.
"""

import ast
import re
import zipfile
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path

from vc2doctor.core import builds
from vc2doctor.curate.wheels.contents import (
    EMPTY,
    Contents,
    FunctionContents,
    Guards,
    contents,
    of_function,
    parse,
)
from vc2doctor.curate.wheels.definitions import Definition, definitions, has_attribute, init_keywords
from vc2doctor.curate.wheels.guards import Condition, Evaluator
from vc2doctor.matrix.releases import RESULT_END

SELF_USED = frozenset({"torch"})
"""Modules whose own package names their attributes in full (``torch.float8_e5m2``): stubs leave out some of those that
compiled code binds."""
NATIVE_STUBS = {"torch": ("torch._C", "torch._C._VariableFunctions")}
"""Modules whose names another one gets from compiled code (``from torch._C import *``); stubs (``.pyi``) tell them."""

_ALL = re.compile(r"^__all__\s*=\s*\[(.*?)\]", re.DOTALL | re.MULTILINE)
_QUOTED_NAME = re.compile(r"[\"'](\w+)[\"']")
_SUFFIXES = ("/__init__.py", ".py", "/__init__.pyi", ".pyi")

MAX_STARS = 40
"""Star imports for type checkers that are followed in one module; transformers' list of all models has hundreds."""

MAX_TREES = 16
"""Syntax trees that are kept, since several functions of one file are read one after the other."""

KEYWORD_START, KEYWORD_END = ".__init__(", "=)"
"""Around a keyword in the symbol that stands for it: ``Trainer.__init__(tokenizer=)``."""

_FileKey = tuple[str, int, int]
"""Module (or file), checksum and size of its file."""


class Cache:
    """What was read from files: most of them do not change between the releases of a package."""

    def __init__(self) -> None:
        """Begin empty."""
        self.contents: dict[_FileKey, Contents] = {}
        self.definitions: dict[_FileKey, dict[str, Definition | None]] = {}
        self.functions: dict[tuple[_FileKey, str], FunctionContents | None] = {}
        self.exports: dict[_FileKey, frozenset[str]] = {}
        self.trees: dict[_FileKey, ast.Module | None] = {}


class Reader:
    """The Python modules of one wheel."""

    def __init__(self, path: Path, package: str, cache: Cache | None = None) -> None:
        """Open the wheel at ``path`` with the import package ``package``; releases of a package share ``cache``."""
        self.path = path
        self.package = package
        self._cache = cache or Cache()
        # Opening a wheel reads its whole table of contents, so it stays open.
        self._wheel = zipfile.ZipFile(path)
        self._files = {entry.filename: entry for entry in self._wheel.infolist()}
        self._origins: dict[str, dict[str, str]] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._evaluator = Evaluator(self)

    def requirements(self) -> list[str]:
        """Return the requirements that the wheel declares."""
        name = next(entry for entry in self._files if entry.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(self._read_text(name)).get_all("Requires-Dist") or []

    def build(self) -> str:
        """Return the build of torch that the package is compiled for; empty: it names none."""
        file = f"{self.package}/version.py"
        return builds.of_source(self._read_text(file)) if file in self._files else ""

    def file_of(self, module: str) -> str | None:
        """Return the file of ``module`` in the wheel; ``None``: the wheel has no such module."""
        base = module.replace(".", "/")
        return next((name for suffix in _SUFFIXES if (name := f"{base}{suffix}") in self._files), None)

    def contents(self, module: str) -> Contents:
        """Return the contents of ``module``; empty if it does not exist or is not valid Python 3."""
        file = self.file_of(module)
        if file is None:
            return EMPTY
        key = self._key(module, file)
        if key not in self._cache.contents:
            source = self._wheel.read(file)
            tree = parse(source)
            self._cache.contents[key] = (
                EMPTY if tree is None else contents(tree, source, module, is_package=_is_package(file))
            )
        return self._cache.contents[key]

    def _key(self, module: str, file: str) -> _FileKey:
        entry = self._files[file]
        return module, entry.CRC, entry.file_size

    def definition(self, module: str, name: str) -> Definition | None:
        """Return the only top-level definition of ``name`` in ``module``; ``None``: there is none, or several."""
        file = self.file_of(module)
        if file is None:
            return None
        key = self._key(module, file)
        if key not in self._cache.definitions:
            tree = self._tree(key, file)
            self._cache.definitions[key] = definitions(tree, module, is_package=_is_package(file)) if tree else {}
        return self._cache.definitions[key].get(name)

    def function(self, module: str, name: str) -> FunctionContents | None:
        """Return what a function does when it runs; ``None``: the wheel does not have it."""
        file = self.file_of(module)
        if file is None:
            return None
        file_key = self._key(module, file)
        key = file_key, name
        if key not in self._cache.functions:
            tree = self._tree(file_key, file)
            is_package = _is_package(file)
            self._cache.functions[key] = of_function(tree, name, module, is_package=is_package) if tree else None
        return self._cache.functions[key]

    def _tree(self, key: _FileKey, file: str) -> ast.Module | None:
        trees = self._cache.trees
        if key not in trees:
            if len(trees) >= MAX_TREES:
                trees.pop(next(iter(trees)))
            trees[key] = parse(self._wheel.read(file))
        return trees[key]

    def condition(self, guards: Guards, module: str) -> Condition | None:
        """Return the condition that the guards in a module hold; ``None``: it is unknown."""
        return self._evaluator.condition(guards, module)

    def origin(self, module: str, symbol: str) -> str | None:
        """Return the module that ``from module import symbol`` loads, if ``module`` resolves its names lazily."""
        if module not in self._origins:
            self._origins[module] = self._origins_in(module)
        return self._origins[module].get(symbol)

    def _origins_in(self, module: str) -> dict[str, str]:
        origins: dict[str, str] = {}
        read = self.contents(module)
        stars = sum(entry.symbol == "*" for entry in read.typing_imports)
        for entry in read.typing_imports if read.lazy_names and stars <= MAX_STARS else ():
            # The dummies stand for what a missing package would provide.
            if entry.module.partition(".")[0] == self.package and "dummy" not in entry.module:
                names = self.contents(entry.module).bound_names if entry.symbol == "*" else {entry.symbol}
                origins.update(dict.fromkeys(names, entry.module))
        return origins

    def provides(self, module: str, symbol: str) -> bool:
        """Return whether ``from module import symbol`` succeeds; an empty symbol stands for ``import module``.

        A symbol with dots is an attribute of a module inside ``module``; ``Class.__init__(keyword=)`` asks whether the
        class accepts the keyword.
        """
        if symbol.endswith(RESULT_END):
            return self._returns_truth_value(module, symbol.removesuffix(RESULT_END))
        if symbol.endswith(KEYWORD_END):
            name, _, keyword = symbol.removesuffix(KEYWORD_END).partition(KEYWORD_START)
            return self._accepts(module, name, keyword)
        first, _, rest = symbol.partition(".")
        if rest and self.file_of(f"{module}.{first}"):
            return self.provides(f"{module}.{first}", rest)
        # Without such a module it is an attribute of a class, or of something whose attributes are not read.
        return self._binds(module, first) and (not rest or self._has_attribute(module, first, rest))

    def _has_attribute(self, module: str, name: str, attribute: str) -> bool:
        """Return whether objects of a class have an attribute; ``True`` if that is unknown."""
        definition = self.definition(module, name)
        known = has_attribute(definition.node, attribute.partition(".")[0]) if definition else None
        return known is not False

    def _binds(self, module: str, symbol: str) -> bool:
        if self.file_of(module) is None or not symbol or symbol == "*":
            return self.file_of(module) is not None
        read = self.contents(module)
        if symbol in read.bound_names or symbol in read.lazy_names or self.file_of(f"{module}.{symbol}"):
            return True
        if module not in self._names:
            self._names[module] = self._bound_names(module, frozenset())
        if symbol in self._names[module] or (module in SELF_USED and symbol in self._self_used):
            return True
        return bool(read.lazy_names) and symbol in self._exported_names

    def is_only_used(self, module: str, symbol: str) -> bool:
        """Return whether nothing but a use of it in the package itself shows that a module has a symbol."""
        if module not in SELF_USED or symbol not in self._self_used:
            return False
        read = self.contents(module)
        return symbol not in read.bound_names | read.lazy_names | self._bound_names(module, frozenset())

    def _returns_truth_value(self, module: str, name: str) -> bool:
        """Return whether the result of a function may be false; ``True`` if the function is not found."""
        definition = self.definition(module, name)
        returned = (
            [node.value for node in ast.walk(definition.node) if isinstance(node, ast.Return)] if definition else []
        )
        return not returned or not all(isinstance(value, ast.Tuple) for value in returned)

    def _accepts(self, module: str, name: str, keyword: str) -> bool:
        """Return whether a class accepts a keyword; ``True`` if its signature is unknown."""
        definition = self.definition(self.origin(module, name) or module, name)
        keywords = init_keywords(definition.node) if definition else None
        return keywords is None or keyword in keywords

    def _bound_names(self, module: str, seen: frozenset[str]) -> frozenset[str]:
        """Return the names that a module binds, with those of ``from x import *``."""
        read = self.contents(module)
        names = set(read.bound_names)
        for stub in NATIVE_STUBS.get(module, ()):
            names |= self.contents(stub).bound_names
        for entry in read.all_imports:
            if entry.symbol == "*" and entry.module not in seen:
                names |= self._bound_names(entry.module, seen | {module})
        return frozenset(names)

    @cached_property
    def _self_used(self) -> frozenset[str]:
        """The attributes of the package that its own modules read by its name."""
        pattern = re.compile(rf"\b{self.package}\.(\w+)")
        names: set[str] = set()
        for file in self._files:
            if file.endswith(".py"):
                names.update(pattern.findall(self._read_text(file)))
        return frozenset(names)

    @cached_property
    def _exported_names(self) -> frozenset[str]:
        """The names in the ``__all__`` of every module: a lazy package can look its attributes up there."""
        names: set[str] = set()
        exports = self._cache.exports
        for file, entry in self._files.items():
            if file.startswith(f"{self.package}/") and file.endswith(".py"):
                key = file, entry.CRC, entry.file_size
                if key not in exports:
                    texts = _ALL.findall(self._read_text(file))
                    exports[key] = frozenset(name for text in texts for name in _QUOTED_NAME.findall(text))
                names |= exports[key]
        return frozenset(names)

    def _read_text(self, file: str) -> str:
        return self._wheel.read(file).decode("utf-8", "replace")


def _is_package(file: str) -> bool:
    return "/__init__.py" in file
