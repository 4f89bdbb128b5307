"""What a function, or the ``__init__`` of a data class, takes as keywords."""

import ast
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vc2doctor.curate.wheels.contents import possible, strings

_IDENTIFIER = re.compile(r"[a-z_]\w*")
_KNOWN_DECORATORS = re.compile(
    r"(\w+\.)*(dataclass|add_\w*docstrings?\w*|auto_docstring|requires|requires_backends|export|total_ordering"
    r"|deprecated|experimental|add_end_docstrings|inherit_docstring|runtime_checkable)(\(|$)"
)
"""Decorators of classes that do not change what their ``__init__`` takes."""


class Signature(NamedTuple):
    """The keywords that a callable takes."""

    keywords: frozenset[str]
    is_open: bool = False
    """Whether it takes every keyword (``**kwargs``)."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Old and new names of keywords, of decorators such as ``@deprecate_kwarg``; the old ones are still taken."""

    def joined(self, other: "Signature") -> "Signature":
        """Return a signature that takes what either takes."""
        return Signature(self.keywords | other.keywords, self.is_open or other.is_open, self.renamed + other.renamed)


def accepted_by(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    """Return what a function takes. Old names that a decorator translates count as taken."""
    arguments = node.args
    names = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)} - {"self", "cls"}
    renamed = tuple(pair for decorator in node.decorator_list for pair in renames_of(decorator))
    for decorator in node.decorator_list:
        if "deprecat" in ast.unparse(decorator):
            names |= {text for text in strings(decorator) if _IDENTIFIER.fullmatch(text)}
    return Signature(frozenset(names), arguments.kwarg is not None, renamed)


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
