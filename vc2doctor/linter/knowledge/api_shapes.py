"""Parameters of functions and methods in each release of a package, and what a class passes to its own methods.

They are in the same table as the names: ``matrices/api.json.gz``, read in the released wheels.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vc2doctor.linter.knowledge.api_table import PackageTable
from vc2doctor.matrix.api_file import FROM, HERE, INHERITS, KEYWORD_ONLY, OPEN, REST, UNKNOWN_SHAPE

MAX_BASES = 12
"""Base classes above each other that are followed. Real packages have fewer."""


class Shape(NamedTuple):
    """The parameters of a callable, without ``self``."""

    positional: tuple[str, ...]
    required: frozenset[str]
    """Parameters without a default."""
    keywords: frozenset[str]
    """All parameters that can be given by keyword."""
    takes_rest: bool
    """Whether it takes any number of arguments by position."""
    is_open: bool
    """Whether it takes every keyword."""


class Given(NamedTuple):
    """The arguments of a call."""

    positional: tuple[str, ...]
    """The names of the variables that are given by position; empty text for other expressions."""
    keywords: frozenset[str]
    is_complete: bool
    """Whether nothing is unpacked with ``*`` or ``**`` that could not be read."""


Releases = tuple[tuple[int, Shape | None], ...]
"""Releases as bits, with the parameters there; ``None``: they are not known."""


@lru_cache(maxsize=4096)
def shape(text: str) -> Shape | None:
    """Return the shape that the table writes as ``text``; ``None``: it is not known."""
    if text == UNKNOWN_SHAPE:
        return None
    positional: list[str] = []
    required: set[str] = set()
    keywords: set[str] = set()
    for token in text.split():
        if token in (REST, OPEN):
            continue
        name = token.lstrip(KEYWORD_ONLY).rstrip("=")
        keywords.add(name)
        if not token.endswith("="):
            required.add(name)
        if not token.startswith(KEYWORD_ONLY):
            positional.append(name)
    tokens = text.split()
    return Shape(tuple(positional), frozenset(required), frozenset(keywords), REST in tokens, OPEN in tokens)


def function_shapes(package: PackageTable, dotted: str) -> Releases:
    """Return the parameters of a function, or of the ``__init__`` of a class, by its full name."""
    key = package.callable_key(dotted)
    return tuple((bits, shape(text)) for bits, text in package.texts("shapes", key)) if key else ()


def method_shapes(package: PackageTable, dotted: str, method: str) -> Releases:
    """Return the parameters of a method of a class with this full name, inherited ones included."""
    key = package.callable_key(dotted)
    return tuple(_methods(package, key, method, package.everything)) if key else ()


def _methods(
    package: PackageTable, key: str, method: str, within: int, hops: int = 0
) -> Iterator[tuple[int, Shape | None]]:
    """Yield the parameters of a method in the releases ``within``: those of the class, else those of its bases."""
    for bits, text in package.texts("shapes", f"{key}.{method}"):
        if bits & within:
            yield bits & within, shape(text)
        within &= ~bits
    if not within or hops > MAX_BASES:
        return
    for bits, text in package.texts("bases", key):
        rest = bits & within
        for base in text.split() if rest else ():
            if base == UNKNOWN_SHAPE or base.startswith(INHERITS):
                # It may define the method, and hides what the bases after it define.
                yield rest, None
                break
            found = list(_methods(package, base, method, rest, hops + 1))
            yield from found
            for known, _ in found:
                rest &= ~known


def foreign_bases(package: PackageTable, dotted: str) -> frozenset[str]:
    """Return the full names of the classes of other packages that a class inherits from, in its newest release."""
    key = package.callable_key(dotted)
    return frozenset(_foreign(package, key, package.everything)) if key else frozenset()


def _foreign(package: PackageTable, key: str, within: int, hops: int = 0) -> Iterator[str]:
    texts = [(bits & within, text) for bits, text in package.texts("bases", key) if bits & within]
    if not texts or hops > MAX_BASES:
        return
    bits, text = max(texts)
    newest = 1 << (bits.bit_length() - 1)
    for base in text.split():
        if base.startswith(INHERITS):
            yield base.removeprefix(INHERITS)
        elif base != UNKNOWN_SHAPE:
            yield from _foreign(package, base, newest, hops + 1)


def has_known_bases(package: PackageTable, dotted: str) -> bool:
    """Return whether all attributes of a class are known: each class that it inherits from is one of its package."""
    key = package.callable_key(dotted)
    return bool(key) and _is_known(package, key or "", set())


def _is_known(package: PackageTable, key: str, seen: set[str]) -> bool:
    seen.add(key)
    texts = package.texts("bases", key)
    names = {base for _, text in texts for base in text.split()} - seen
    is_listed = bool(texts) and not any(name == UNKNOWN_SHAPE or name.startswith(INHERITS) for name in names)
    return is_listed and all(_is_known(package, name, seen) for name in names)


class Passed(NamedTuple):
    """What a class passes to one of its own methods."""

    what: str
    """A keyword, or the number of arguments that are given by position."""
    caller: str
    """The method that calls."""
    bits: int
    """The releases in which it does."""


def passed_to(package: PackageTable, dotted: str, method: str) -> Iterator[Passed]:
    """Yield what objects of a class with this full name pass to their own ``method``."""
    key = package.callable_key(dotted)
    if key:
        yield from _passed(package, key, method, package.everything, {})


def _passed(  # noqa: PLR0913, PLR0917 - a recursion over the bases
    package: PackageTable, key: str, method: str, within: int, overridden: Mapping[str, int], hops: int = 0
) -> Iterator[Passed]:
    """Yield what a class and its bases pass; a caller that a nearer class overrides (``overridden``) does not count."""
    for item, bits in (package.entries("passes", f"{key}.{method}") or {}).items():
        what, _, caller = item.partition(FROM)
        counted = bits & within & ~overridden.get(caller, 0)
        if item != HERE and counted:
            yield Passed(what, caller, counted)
    if hops > MAX_BASES:
        return
    callers = {name: overridden.get(name, 0) | package.has_method(key, name) for name in package.callers(method)}
    for bits, text in package.texts("bases", key):
        for base in text.split():
            if base != UNKNOWN_SHAPE and not base.startswith(INHERITS) and bits & within:
                yield from _passed(package, base, method, bits & within, callers, hops + 1)


def problem(parameters: Shape, given: Given) -> str:
    """Return why a callable refuses a call, as the end of a sentence; empty: it takes it."""
    count = len(given.positional)
    if count > len(parameters.positional) and not parameters.takes_rest:
        return f"takes {len(parameters.positional)} arguments by position, and {count} are given"
    twice = sorted(given.keywords & set(parameters.positional[:count]))
    if twice:
        return f"gets {twice[0]} twice: by position and by keyword"
    if not parameters.is_open and (unknown := sorted(given.keywords - parameters.keywords)):
        return f"does not take {unknown[0]}="
    missing = parameters.required - given.keywords - set(parameters.positional[:count])
    if missing and given.is_complete:
        return f"requires {min(missing)}, which is not given"
    return ""


def misplaced(parameters: Shape, given: Given) -> str:
    """Return which variable lands in a parameter of another name, as the end of a sentence; empty: none.

    Only variables whose name is that of another parameter count: code may name what it passes as it likes.
    """
    for variable, name in zip(given.positional, parameters.positional, strict=False):
        if variable != name and variable in parameters.keywords and variable not in given.keywords:
            return f"has {name} at the position where {variable} is given"
    return ""
