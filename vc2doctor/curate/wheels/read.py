"""Read the modules of a wheel as syntax trees: what they import unconditionally, and which names they bind.

No code of the wheel runs.
"""

import ast
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

TRUE_GUARDS = frozenset({"is_torch_available"})
"""Functions that return ``True`` in every environment that the doctor looks at: torch is installed."""
LAZY_MARKERS = frozenset({"_LazyModule", "_import_structure", "_SUBMOD_ATTRS", "_attach", "__getattr__"})
"""Names in a module that resolves its attributes lazily, so that no statement binds them."""

_ALL = re.compile(r"^__all__\s*=\s*\[(.*?)\]", re.DOTALL | re.MULTILINE)
_QUOTED_NAME = re.compile(r"[\"'](\w+)[\"']")

Import = tuple[str, str]
"""Module and symbol; the symbol is empty if the module itself is imported."""


class Contents(NamedTuple):
    """The imports and names of one module."""

    unconditional_imports: tuple[Import, ...]
    all_imports: tuple[Import, ...]
    """Also those behind a condition or in a ``try``, but none for type checkers only."""
    bound_names: frozenset[str]
    """Names that a top-level statement binds, conditionally or not."""
    lazy_names: frozenset[str]
    """Every string in a module that resolves its attributes lazily; empty for other modules."""


_EMPTY = Contents((), (), frozenset(), frozenset())

ContentsCache = dict[tuple[str, int, int], Contents]
"""Contents by module, checksum and size of its file: most files do not change between releases."""


class Reader:
    """The Python modules of one wheel."""

    def __init__(self, path: Path, package: str, cache: ContentsCache | None = None) -> None:
        """Open the wheel at ``path`` with the import package ``package``; releases of a package share ``cache``."""
        self.package = package
        self._cache: ContentsCache = {} if cache is None else cache
        # Opening a wheel reads its whole table of contents, so it stays open.
        self._wheel = zipfile.ZipFile(path)
        self._files = {entry.filename: entry for entry in self._wheel.infolist()}

    def requirements(self) -> list[str]:
        """Return the requirements that the wheel declares."""
        name = next(entry for entry in self._files if entry.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(self._read_text(name)).get_all("Requires-Dist") or []

    def file_of(self, module: str) -> str | None:
        """Return the file of ``module`` in the wheel; ``None``: the wheel has no such module."""
        base = module.replace(".", "/")
        return next((name for name in (f"{base}/__init__.py", f"{base}.py") if name in self._files), None)

    def contents(self, module: str) -> Contents:
        """Return the contents of ``module``; empty if it does not exist or is not valid Python 3."""
        file = self.file_of(module)
        if file is None:
            return _EMPTY
        entry = self._files[file]
        key = (module, entry.CRC, entry.file_size)
        if key not in self._cache:
            self._cache[key] = _contents(self._wheel.read(file), module, is_package=file.endswith("__init__.py"))
        return self._cache[key]

    def required_symbols(self, entries: Iterable[str], others: frozenset[str]) -> dict[Import, str]:
        """Return what the modules ``entries``, and all that they import, import from the packages ``others``.

        The values are the files that contain the imports. Imports in a ``try``, in a function or behind a condition do
        not count.
        """
        required: dict[Import, str] = {}
        waiting, seen = [*entries], set(entries)
        while waiting:
            module = waiting.pop()
            for target, symbol in self.contents(module).unconditional_imports:
                top = target.partition(".")[0]
                if top in others:
                    required.setdefault((target, symbol), self.file_of(module) or module)
                elif top == self.package:
                    # Importing a.b.c also runs a and a.b, and the symbol may be a module.
                    for reached in (*_with_parents(target), f"{target}.{symbol}"):
                        if reached not in seen and self.file_of(reached):
                            seen.add(reached)
                            waiting.append(reached)
        return required

    def provides(self, module: str, symbol: str) -> bool:
        """Return whether ``from module import symbol`` succeeds; an empty symbol stands for ``import module``."""
        if self.file_of(module) is None or not symbol or symbol == "*":
            return self.file_of(module) is not None
        contents = self.contents(module)
        if symbol in contents.bound_names or symbol in contents.lazy_names or self.file_of(f"{module}.{symbol}"):
            return True
        if symbol in self._bound_names(module, frozenset()):
            return True
        return bool(contents.lazy_names) and symbol in self._exported_names

    def _bound_names(self, module: str, seen: frozenset[str]) -> frozenset[str]:
        """Return the names that a module binds, with those of ``from x import *``."""
        contents = self.contents(module)
        names = set(contents.bound_names)
        for target, symbol in contents.all_imports:
            if symbol == "*" and target not in seen:
                names |= self._bound_names(target, seen | {module})
        return frozenset(names)

    @cached_property
    def _exported_names(self) -> frozenset[str]:
        """The names in the ``__all__`` of every module: a lazy package can look its attributes up there."""
        names: set[str] = set()
        for file in self._files:
            if file.startswith(f"{self.package}/") and file.endswith(".py"):
                for text in _ALL.findall(self._read_text(file)):
                    names.update(_QUOTED_NAME.findall(text))
        return frozenset(names)

    def _read_text(self, file: str) -> str:
        return self._wheel.read(file).decode("utf-8", "replace")


def _contents(source: bytes, module: str, *, is_package: bool) -> Contents:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError:
        return _EMPTY
    return Contents(
        unconditional_imports=tuple(_imports(tree, module, is_package=is_package, conditional=False)),
        all_imports=tuple(_imports(tree, module, is_package=is_package, conditional=True)),
        bound_names=frozenset(_bindings(tree)),
        lazy_names=frozenset(_strings(tree)) if _is_lazy(tree) else frozenset(),
    )


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _imports(tree: ast.Module, module: str, *, is_package: bool, conditional: bool) -> Iterator[Import]:
    """Yield the imports of a module, relative ones by their full names."""
    for node in _statements(tree.body, conditional=conditional):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                # One dot is the package itself in __init__.py, and the parent in any other module.
                anchor = parts[: len(parts) - node.level + is_package]
                base = ".".join([*anchor, *([base] if base else [])])
            for alias in node.names:
                yield base, alias.name


def _statements(body: list[ast.stmt], *, conditional: bool) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported; with ``conditional``, those that may run as well."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            if _is_true_guard(node.test) or (conditional and not _is_type_checking(node.test)):
                yield from _statements(node.body, conditional=conditional)
            if conditional:
                yield from _statements(node.orelse, conditional=conditional)
        elif isinstance(node, ast.Try) and conditional:
            handlers = [handler.body for handler in node.handlers]
            for block in (node.body, node.orelse, node.finalbody, *handlers):
                yield from _statements(block, conditional=conditional)
        elif isinstance(node, ast.With):
            yield from _statements(node.body, conditional=conditional)


def _is_true_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in TRUE_GUARDS


def _is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def _bindings(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree.body, conditional=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _is_lazy(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Name) and node.id in LAZY_MARKERS for node in ast.walk(tree))


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
