"""What the names of a project mean among the classes and functions of the training packages."""

import ast
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Class, Function, Module, module_of
from vc2doctor.linter.read.source import UnreadableError, read_source

PACKAGES = ("transformers", "peft", "trl", "accelerate", "bitsandbytes")
"""Packages of the table of names."""
NEUTRAL_BASES = frozenset({"object", "ABC", "abc.ABC", "typing.Generic", "Generic"})
"""Base classes that take no keywords and add no attributes that matter."""
_INHERITING = {
    f"sentence_transformers{module}.{name}": "transformers.TrainingArguments"
    for name, module_name in (
        ("SentenceTransformerTrainingArguments", ".training_args"),
        ("CrossEncoderTrainingArguments", ".cross_encoder"),
        ("SparseEncoderTrainingArguments", ".sparse_encoder"),
    )
    for module in ("", module_name, f"{module_name}.training_args")
}
"""Arguments of sentence-transformers that inherit from those of transformers, and take their keywords.

Read in the wheels of 3.0.1 to 6.2.0.
"""
MAX_HOPS = 6
"""Modules of the project through which a name is passed on."""
_MENTIONS = tuple(name.encode() for name in PACKAGES)


@lru_cache(maxsize=2)
def all_code(facts: Facts) -> CodeFacts:
    """Return the facts of the project with the modules that do not mention precision but one of the packages."""
    texts = facts.code.files.texts
    return _with_modules(facts.code, [name for name, data in texts.items() if any(word in data for word in _MENTIONS)])


def code_mentioning(facts: Facts, words: Iterable[bytes]) -> CodeFacts:
    """Return the facts of the project with the modules that contain one of ``words``."""
    texts, wanted = facts.code.files.texts, tuple(words)
    return _with_modules(facts.code, [name for name, data in texts.items() if any(word in data for word in wanted)])


def whole_code(facts: Facts) -> CodeFacts:
    """Return the facts of the project with all of its modules: any of them may import one that matters."""
    return _with_modules(facts.code, list(facts.code.files.texts))


def _with_modules(code: CodeFacts, names: Iterable[str]) -> CodeFacts:
    """Return the facts of the project with further files, as far as they are Python that can be parsed."""
    files = code.files
    others = {name: module for name in names if (module := _parsed(name, files.texts[name])) is not None}
    if not others:
        return code
    return CodeFacts(replace(files, modules={**files.modules, **others}))


def _parsed(name: str, data: bytes) -> Module | None:
    if not name.endswith((".py", ".ipynb")):
        return None
    try:
        return module_of(read_source(name, data))
    except (UnreadableError, RecursionError):
        # The file does not mention precision, so it is not reported as unread.
        return None


def mentions_package(module: Module) -> bool:
    """Return whether a module names one of the packages at all."""
    return any(name in module.source.text for name in PACKAGES)


def shadowed_packages(code: CodeFacts) -> frozenset[str]:
    """Return the packages that the project itself contains: what it imports by their names is its own.

    A module within a package, such as ``mine/configs/peft.py``, has another full name, and takes the place of nothing.
    """
    endings = {f"{name}/__init__.py": name for name in PACKAGES} | {f"{name}.py": name for name in PACKAGES}
    names = {*code.files.modules, *code.files.texts}
    return frozenset(
        name
        for ending, name in endings.items()
        if any(
            f"/{file}".endswith(f"/{ending}") and f"{file.removesuffix(ending)}__init__.py" not in names
            for file in names
        )
    )


def external_name(code: CodeFacts, module: Module, dotted: str, hops: int = 0) -> str | None:
    """Return the full name that ``dotted`` in a module has in one of the packages; ``None``: it is something else.

    Names that another module of the project imports and passes on are followed.
    """
    if dotted.partition(".")[0] in PACKAGES:
        return dotted
    if dotted in _INHERITING:
        return _INHERITING[dotted]
    if hops > MAX_HOPS or not dotted.strip("."):
        return None
    prefix, _, name = dotted.rpartition(".")
    owner = code.module_named(module, prefix) if prefix.strip(".") else None
    if owner is None and prefix and not prefix.strip("."):
        owner = code.module_named(module, prefix)
    if owner is None or owner is module:
        return None
    if name in owner.imports and not is_rebound(owner, name):
        return external_name(code, owner, owner.imports[name], hops + 1)
    return None


def is_rebound(module: Module, name: str) -> bool:
    """Return whether a module also defines or assigns a name that it imports."""
    return (
        name in module.classes
        or name in module.level.names
        or any(function.name == name and function.cls is None for function in module.functions)
    )


class Inherited(NamedTuple):
    """A class of the project that inherits from one class of the packages."""

    classes: tuple[Class, ...]
    """The classes of the project, the nearest first."""
    base: str
    """The full name of the class of the package."""


@lru_cache(maxsize=1024)
def inherited(code: CodeFacts, cls: Class) -> Inherited | None:
    """Return the only class of the packages that a class of the project inherits from; ``None``: unknown or none."""
    classes = tuple(code.mro(cls))
    externals: set[str] = set()
    for owner in classes:
        for base in owner.node.bases:
            if code.class_named(owner.module, base) in classes:
                continue
            dotted = owner.module.dotted(base)
            name = external_name(code, owner.module, dotted)
            externals.add(name or dotted or "?")
    externals -= NEUTRAL_BASES
    only = externals.pop() if len(externals) == 1 else ""
    return Inherited(classes, only) if only.partition(".")[0] in PACKAGES else None


def initializer(classes: tuple[Class, ...]) -> Function | None:
    """Return the nearest ``__init__`` that classes of the project define."""
    return next((cls.methods["__init__"] for cls in classes if "__init__" in cls.methods), None)


def own_names(classes: tuple[Class, ...]) -> frozenset[str]:
    """Return the fields, attributes and methods that classes of the project define."""
    names: set[str] = set()
    for cls in classes:
        names |= {*cls.methods, *cls.attributes}
        names |= {
            node.target.id
            for node in cls.node.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
    return frozenset(names)


def passes_keywords_on(function: Function) -> bool:
    """Return whether an ``__init__`` gives the keywords that it does not know to ``super().__init__``."""
    if isinstance(function.node, ast.Module) or function.node.args.kwarg is None:
        return False
    rest = function.node.args.kwarg.arg
    return any(
        keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == rest
        for call in function.module.calls_in(function)
        if call.name == "__init__"
        for keyword in call.node.keywords
    )
