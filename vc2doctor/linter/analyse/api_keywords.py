"""The keywords of a call, with those of a dictionary that is unpacked into it."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.read.module import Call, Place


class Keyword(NamedTuple):
    """A keyword that a call gives."""

    name: str
    node: ast.AST
    """Where it is written."""
    is_conditional: bool
    """Whether it is given only under a condition that the call itself does not have."""
    value: ast.expr | None = None
    """Its value; ``None``: it is not written there."""


def keywords_of(call: Call) -> tuple[list[Keyword], bool]:
    """Return the keywords of a call, and whether these are all: a dictionary that is unpacked may not be readable."""
    found: list[Keyword] = []
    is_complete = True
    for keyword in call.node.keywords:
        if keyword.arg is not None:
            found.append(Keyword(keyword.arg, keyword, is_conditional=False, value=keyword.value))
            continue
        entries = _unpacked(keyword.value, call.place)
        found.extend(entries or [])
        is_complete = is_complete and entries is not None and isinstance(keyword.value, ast.Dict)
    return found, is_complete


def _unpacked(value: ast.expr, place: Place) -> list[Keyword] | None:
    """Return the entries of a dictionary; ``None``: it cannot be read."""
    if not isinstance(value, ast.Name):
        entries = _of_dictionary(value)
        return (
            None
            if entries is None
            else [Keyword(name, node, is_conditional=False, value=given) for name, node, given in entries]
        )
    name = value.id
    for scope in place.function.scopes():
        values = scope.names.get(name, [])
        stored = list(_stored(name, place)) if scope is place.function else []
        if not values and not stored:
            continue
        taken_out = set(_taken_out(name, place))
        found = [
            Keyword(key, node, is_conditional=_is_narrower(at, place) or len(values) > 1, value=given)
            for assigned, at in values
            for key, node, given in _of_dictionary(assigned) or []
        ]
        return [entry for entry in (*found, *stored) if entry.name not in taken_out]
    return None


def _is_narrower(place: Place, call: Place) -> bool:
    """Return whether a place has a condition that the place of the call does not have."""
    return any(condition not in call.conditions for condition in place.conditions)


def _stored(name: str, place: Place) -> Iterator[Keyword]:
    """Yield what the function of a call stores in a dictionary: ``name["key"] = value``, ``name.update(...)``."""
    for at in place.module.statements:
        statement = at.statement
        if at.function is not place.function or not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Subscript) and _names(target.value, name):
                key = target.slice
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield Keyword(key.value, statement, _is_narrower(at, place), statement.value)
    for call in place.module.calls_in(place.function):
        if call.name == "update" and _names(call.receiver, name):
            entries: list[tuple[str, ast.AST, ast.expr]] = [
                (keyword.arg, keyword, keyword.value) for keyword in call.node.keywords if keyword.arg is not None
            ]
            for argument in call.node.args[:1]:
                entries = [*(_of_dictionary(argument) or []), *entries]
            is_narrower = _is_narrower(call.place, place)
            yield from (Keyword(name, node, is_narrower, given) for name, node, given in entries)


def _taken_out(name: str, place: Place) -> Iterator[str]:
    for call in place.module.calls_in(place.function):
        if call.name == "pop" and _names(call.receiver, name) and call.node.args:
            key = call.node.args[0]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value


def _names(expression: ast.expr, name: str) -> bool:
    return isinstance(expression, ast.Name) and expression.id == name


def _of_dictionary(value: ast.expr) -> list[tuple[str, ast.AST, ast.expr]] | None:
    """Return the keys of a dictionary that is written out, with places and values; ``None``: it is something else."""
    if isinstance(value, ast.Dict):
        return [
            (key.value, key, given)
            for key, given in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        ]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        return [(keyword.arg, keyword, keyword.value) for keyword in value.keywords if keyword.arg is not None]
    return None
