"""Finds the checks and the rules: modules ``vcNNN_name`` of a package, whose docstrings are their pages."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from types import ModuleType

_NAME = re.compile(r"vc\d{3}_\w+")


def names(paths: Iterable[str]) -> list[str]:
    """Return the numbered modules below a package's ``__path__``, by number; none is imported."""
    return sorted(found.name for found in pkgutil.iter_modules(paths) if _NAME.fullmatch(found.name))


def id_of(name: str) -> str:
    """Return the id of a numbered module: ``VC005`` of ``vc005_known_issue``."""
    return name[:5].upper()


def modules(package: str, paths: Iterable[str]) -> dict[str, ModuleType]:
    """Return the numbered modules of a package, by id and in their order."""
    return {id_of(name): importlib.import_module(f"{package}.{name}") for name in names(paths)}


def pages(package: str, paths: Iterable[str]) -> dict[str, str]:
    """Return the page of every numbered module of a package, by id."""
    return {id_: inspect.cleandoc(module.__doc__ or "") for id_, module in modules(package, paths).items()}
