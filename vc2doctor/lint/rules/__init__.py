"""The rules: one file each, a pure function from facts to findings, whose docstring is its page.

A rule is a module ``vcNNN_name`` with a function ``find``. Adding the file is all that is needed.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.lint.model import CodeFinding
from vc2doctor.lint.weights import Facts

Rule = Callable[[Facts], Iterator[CodeFinding]]

_NAME = re.compile(r"vc\d{3}_\w+")


def _names() -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if _NAME.fullmatch(found.name))


def ids() -> tuple[str, ...]:
    """Return the id of every rule, by number."""
    return tuple(name[:5].upper() for name in _names())


def modules() -> dict[str, ModuleType]:
    """Return every rule's module, by id."""
    return {name[:5].upper(): importlib.import_module(f"{__name__}.{name}") for name in _names()}


def pages() -> dict[str, str]:
    """Return the page of every rule, by id."""
    return {id_: inspect.cleandoc(module.__doc__ or "") for id_, module in modules().items()}


def run(facts: Facts, selected: frozenset[str]) -> tuple[CodeFinding, ...]:
    """Return what the selected rules find."""
    found: list[CodeFinding] = []
    for id_, module in modules().items():
        if id_ in selected:
            rule: Rule = module.find
            found.extend(rule(facts))
    return tuple(found)
