"""Follows the imports of a program through all files of a project, also through those that the rules did not read."""

import ast
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vc2doctor.linter.read.module import last_name

_DYNAMIC_CALLS = (
    "import_module",
    "__import__",
    "instantiate_from_config",
    "get_obj_from_str",
    "locate",
    "build_from_cfg",
)
"""Calls that import what a text names."""
MAX_TEXT_LENGTH = 200
"""Characters of a text that can name a module; longer texts are prose."""


class Closure(NamedTuple):
    """The code that a program reaches."""

    files: frozenset[str]
    dynamic: str | None
    """Where it imports a module by a name that only a run knows; ``None``: nowhere."""


class ImportGraph:
    """The imports between the Python files of a project."""

    def __init__(self, names: frozenset[str], tree_of: Callable[[str], ast.Module | None]) -> None:
        self._names = names
        self._tree_of = tree_of
        self._imports: dict[str, tuple[frozenset[str], bool]] = {}
        self._by_ending: Mapping[str, list[str]] = _by_last_part(names)

    def closure(self, entry: str) -> Closure:
        """Return the files that ``entry`` reaches, itself included."""
        seen, waiting, dynamic = {entry}, [entry], None
        while waiting:
            name = waiting.pop()
            imported, is_dynamic = self._imported(name)
            dynamic = dynamic or (name if is_dynamic else None)
            waiting.extend(imported - seen)
            seen |= imported
        return Closure(frozenset(seen), dynamic)

    def _imported(self, name: str) -> tuple[frozenset[str], bool]:
        if name not in self._imports:
            tree = self._tree_of(name)
            nodes = [*ast.walk(tree)] if tree is not None else []
            files = {file for node in nodes for file in self._files_of(name, node)}
            self._imports[name] = (frozenset(files - {name}), any(_is_dynamic(node) for node in nodes))
        return self._imports[name]

    def _files_of(self, name: str, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from self._module(name, alias.name)
            case ast.ImportFrom(module=module, level=level, names=names):
                prefix = "." * level + (module or "")
                yield from self._module(name, prefix)
                separator = "" if prefix.endswith(".") else "."
                for alias in names:
                    yield from self._module(name, f"{prefix}{separator}{alias.name}")
            case ast.Constant(value=str(text)) if "." in text and len(text) < MAX_TEXT_LENGTH and " " not in text:
                # The name of a class or module that some registry imports: `target: models.vit.ViT`.
                for dotted in (text, text.rpartition(".")[0]):
                    if "." in dotted and all(part.isidentifier() for part in dotted.split(".")):
                        yield from self._module(name, dotted)

    def _module(self, name: str, dotted: str) -> Iterator[str]:
        """Yield the file of a module and those of the packages around it, which are run as well."""
        for folder in self._folders(name, dotted):
            stem = "/".join(part for part in (folder, dotted.lstrip(".").replace(".", "/")) if part)
            file = next(
                (
                    each
                    for each in (f"{stem}/__init__.py" if stem else "__init__.py", f"{stem}.py")
                    if each in self._names
                ),
                None,
            )
            if file is not None:
                yield file
                yield from self._packages(folder, stem)
                return
        if not dotted.startswith("."):
            # A folder that the code itself puts on sys.path: the only file of that name is meant.
            path = dotted.replace(".", "/")
            same = [
                each for each in self._by_ending.get(path.rpartition("/")[2], []) if f"/{each}".endswith(f"/{path}.py")
            ]
            if len(same) == 1:
                yield same[0]

    def _folders(self, name: str, dotted: str) -> Iterator[str]:
        folder = posixpath.dirname(name)
        if dotted.startswith("."):
            level = len(dotted) - len(dotted.lstrip("."))
            package = posixpath.normpath("/".join([folder or ".", *[".."] * (level - 1)]))
            yield "" if package == "." else package
            return
        # The folder on sys.path is unknown: that of the file and every folder above it can be the one.
        while folder:
            yield folder
            folder = posixpath.dirname(folder)
        yield ""

    def _packages(self, folder: str, stem: str) -> Iterator[str]:
        parent = posixpath.dirname(stem)
        while parent and parent != folder:
            if f"{parent}/__init__.py" in self._names:
                yield f"{parent}/__init__.py"
            parent = posixpath.dirname(parent)


def _by_last_part(names: frozenset[str]) -> dict[str, list[str]]:
    by_part: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_part[posixpath.basename(name).removesuffix(".py")].append(name)
    return by_part


def _is_dynamic(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or last_name(node.func) not in _DYNAMIC_CALLS:
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant))
