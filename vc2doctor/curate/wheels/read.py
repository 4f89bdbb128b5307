"""What a wheel's modules import without condition, and what they bind: by their syntax trees, nothing is run."""

import ast
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

_AVAILABLE = frozenset({"is_torch_available"})
"""Guards that hold wherever the doctor looks: torch is there."""
_ALL = re.compile(r"^__all__\s*=\s*\[(.*?)\]", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"[\"'](\w+)[\"']")


class Contents(NamedTuple):
    """What matters of one module."""

    imports: tuple[tuple[str, str], ...]
    """Module and symbol of every import that happens without condition."""
    guarded: tuple[tuple[str, str], ...]
    """The same, whatever the condition."""
    bound: frozenset[str]
    """Names that a statement at its top level binds, whatever the condition."""
    offered: frozenset[str]
    """Every string in it, where it hands out names lazily."""


_NOTHING = Contents((), (), frozenset(), frozenset())
_Known = dict[tuple[str, int, int], Contents]


class Reader:
    """The Python modules of one wheel."""

    def __init__(self, path: Path, package: str, known: _Known | None = None) -> None:
        """Open the wheel at ``path``, whose import package is ``package``; ``known`` is shared between releases."""
        self.package = package
        self._known: _Known = {} if known is None else known
        # Opening it reads its whole table of contents, so it is opened once.
        self._wheel = zipfile.ZipFile(path)
        self._files = {entry.filename: entry for entry in self._wheel.infolist()}

    def declared(self) -> list[str]:
        """Return the requirements that the wheel declares."""
        name = next(entry for entry in self._files if entry.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(self._read(name).decode("utf-8", "replace")).get_all("Requires-Dist") or []

    def file_of(self, module: str) -> str | None:
        """Return the file of ``module`` in the wheel, or ``None``."""
        base = module.replace(".", "/")
        return next((name for name in (f"{base}/__init__.py", f"{base}.py") if name in self._files), None)

    def contents(self, module: str) -> Contents:
        """Return what matters of ``module``; nothing, where it is not there or no Python of today."""
        file = self.file_of(module)
        if file is None:
            return _NOTHING
        entry = self._files[file]
        key = (module, entry.CRC, entry.file_size)
        if key not in self._known:
            self._known[key] = _contents(self._read(file), module, is_package=file.endswith("__init__.py"))
        return self._known[key]

    def needs(self, entries: Iterable[str], others: frozenset[str]) -> dict[tuple[str, str], str]:
        """Return what is imported of ``others`` when ``entries`` are imported.

        Keys are ``(module, symbol)``, the symbol empty where a module as such is imported; values are the file that
        does it. Imports in ``try``, in functions, or behind a condition do not count.
        """
        found: dict[tuple[str, str], str] = {}
        waiting, seen = [*entries], set(entries)
        while waiting:
            module = waiting.pop()
            for target, symbol in self.contents(module).imports:
                top = target.partition(".")[0]
                if top in others:
                    found.setdefault((target, symbol), self.file_of(module) or module)
                elif top == self.package:
                    for reached in (*_parents(target), f"{target}.{symbol}"):
                        if reached not in seen and self.file_of(reached):
                            seen.add(reached)
                            waiting.append(reached)
        return found

    def has(self, module: str, symbol: str) -> bool:
        """Return whether ``from module import symbol`` finds something; an empty symbol asks for the module."""
        if self.file_of(module) is None or not symbol or symbol == "*":
            return self.file_of(module) is not None
        here = self.contents(module)
        if symbol in here.bound or symbol in here.offered or self.file_of(f"{module}.{symbol}") is not None:
            return True
        return symbol in self._bound(module, frozenset()) or (bool(here.offered) and symbol in self._handed_out)

    def _bound(self, module: str, seen: frozenset[str]) -> frozenset[str]:
        found = self.contents(module)
        names = set(found.bound)
        for target, symbol in found.guarded:
            if symbol == "*" and target not in seen:
                names |= self._bound(target, seen | {module})
        return frozenset(names)

    @cached_property
    def _handed_out(self) -> frozenset[str]:
        """What the modules of a lazy package list in their ``__all__``."""
        found: set[str] = set()
        for name in self._files:
            if name.startswith(f"{self.package}/") and name.endswith(".py"):
                for listed in _ALL.findall(self._read(name).decode("utf-8", "replace")):
                    found.update(_QUOTED.findall(listed))
        return frozenset(found)

    def _read(self, name: str) -> bytes:
        return self._wheel.read(name)


def _contents(source: bytes, module: str, *, is_package: bool) -> Contents:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError:
        return _NOTHING
    return Contents(
        imports=tuple(_imports(tree, module, is_package=is_package)),
        guarded=tuple(_imports(tree, module, is_package=is_package, guarded=True)),
        bound=frozenset(_bindings(tree)),
        offered=frozenset(_strings(tree)) if _is_lazy(tree) else frozenset(),
    )


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _imports(tree: ast.Module, module: str, *, is_package: bool, guarded: bool = False) -> Iterator[tuple[str, str]]:
    for node in _statements(tree.body, guarded=guarded):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                anchor = parts[: len(parts) - node.level + is_package]
                base = ".".join([*anchor, *([base] if base else [])])
            for alias in node.names:
                yield base, alias.name


def _statements(body: list[ast.stmt], *, guarded: bool) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If):
            if _holds(node.test) or (guarded and not _is_typing(node.test)):
                yield from _statements(node.body, guarded=guarded)
            if guarded:
                yield from _statements(node.orelse, guarded=guarded)
        elif isinstance(node, ast.Try) and guarded:
            inner = [node.body, node.orelse, node.finalbody, *(handler.body for handler in node.handlers)]
            for part in inner:
                yield from _statements(part, guarded=guarded)
        elif isinstance(node, ast.With):
            yield from _statements(node.body, guarded=guarded)


def _holds(test: ast.expr) -> bool:
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in _AVAILABLE


def _is_typing(test: ast.expr) -> bool:
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def _bindings(tree: ast.Module) -> Iterator[str]:
    for node in _statements(tree.body, guarded=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _is_lazy(tree: ast.Module) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return bool(names & {"_LazyModule", "_import_structure", "_SUBMOD_ATTRS", "_attach", "__getattr__"})


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
