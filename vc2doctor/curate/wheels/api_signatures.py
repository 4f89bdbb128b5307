"""What a function, or the ``__init__`` of a data class, takes as keywords."""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vc2doctor.curate.wheels.contents import possible, strings
from vc2doctor.matrix.api_file import KEYWORD_ONLY, OPEN, REST, UNKNOWN_SHAPE

_IDENTIFIER = re.compile(r"[a-z_]\w*")
_KNOWN_DECORATORS = re.compile(
    r"(\w+\.)*(dataclass|add_\w*docstrings?\w*|auto_docstring|requires|requires_backends|export|total_ordering"
    r"|deprecated|experimental|add_end_docstrings|inherit_docstring|runtime_checkable)(\(|$)"
)
"""Decorators of classes that do not change what their ``__init__`` takes."""
_SHAPE_KEEPING = re.compile(
    r"(\w+\.)*(staticmethod|classmethod|deprecate_kwarg|add_\w*docstrings?\w*|auto_docstring|replace_return_docstrings"
    r"|no_grad|inference_mode|requires|on_main_process|on_local_main_process|deprecated|experimental)(\(|$)"
)
"""Decorators of functions that do not change what they take by position."""


class Signature(NamedTuple):
    """The keywords that a callable takes."""

    keywords: frozenset[str]
    is_open: bool = False
    """Whether it takes every keyword (``**kwargs``)."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Old and new names of keywords, of decorators such as ``@deprecate_kwarg``; the old ones are still taken."""
    shape: str = UNKNOWN_SHAPE
    """Its parameters in order; see ``PackageApi.shapes``."""

    def joined(self, other: "Signature") -> "Signature":
        """Return a signature that takes what either takes."""
        shape = self.shape if self.shape == other.shape else UNKNOWN_SHAPE
        renamed = self.renamed + other.renamed
        return Signature(self.keywords | other.keywords, self.is_open or other.is_open, renamed, shape)


def accepted_by(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    """Return what a function takes. Old names that a decorator translates count as taken."""
    arguments = node.args
    names = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)} - {"self", "cls"}
    renamed = tuple(pair for decorator in node.decorator_list for pair in renames_of(decorator))
    for decorator in node.decorator_list:
        if "deprecat" in ast.unparse(decorator):
            names |= {text for text in strings(decorator) if _IDENTIFIER.fullmatch(text)}
    return Signature(frozenset(names), arguments.kwarg is not None, renamed, shape_of(node, names))


def shape_of(node: ast.FunctionDef | ast.AsyncFunctionDef, accepted: Iterable[str]) -> str:
    """Return the parameters of a function in order, as text; see ``PackageApi.shapes``.

    ``accepted`` are all keywords that it takes, those that a decorator translates included.

    Of a function with a decorator that may change this, nothing is known.
    """
    if not all(_SHAPE_KEEPING.match(ast.unparse(decorator)) for decorator in node.decorator_list):
        return UNKNOWN_SHAPE
    arguments = node.args
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    required = len(positional) - len(arguments.defaults)
    names = [name if place < required else f"{name}=" for place, name in enumerate(positional)]
    keyword_only = [
        argument.arg if default is None else f"{argument.arg}="
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    declared = {*positional, *(argument.arg for argument in arguments.kwonlyargs)}
    keyword_only += [f"{name}=" for name in sorted(set(accepted) - declared)]
    rest = [*([REST] if arguments.vararg else []), *(KEYWORD_ONLY + name for name in keyword_only)]
    is_method = positional[:1] in (["self"], ["cls"])
    return " ".join([*names[is_method:], *rest, *([OPEN] if arguments.kwarg else [])])


def renames_of(decorator: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield the old and the new name of a keyword that ``@deprecate_kwarg("old", ..., new_name="new")`` translates."""
    if not isinstance(decorator, ast.Call) or "deprecate_kwarg" not in ast.unparse(decorator.func):
        return
    texts = [*decorator.args, *(keyword.value for keyword in decorator.keywords if keyword.arg == "new_name")]
    names = [
        text.value
        for text in texts
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and _IDENTIFIER.fullmatch(text.value)
    ]
    if len(names) > 1:
        yield names[0], names[1]


def is_known_decorator(node: ast.expr) -> bool:
    """Return whether a decorator of a class leaves alone what the class takes."""
    text = ast.unparse(node)
    return _KNOWN_DECORATORS.match(text) is not None and "init=False" not in text


def fields_of(node: ast.ClassDef) -> frozenset[str]:
    """Return the fields that the generated ``__init__`` of a data class takes."""
    return frozenset(_fields(possible(node.body)))


def _fields(body: Iterable[ast.stmt]) -> Iterator[str]:
    for entry in body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            value = "" if entry.value is None else ast.unparse(entry.value)
            if "ClassVar" not in ast.unparse(entry.annotation) and "init=False" not in value:
                yield entry.target.id
