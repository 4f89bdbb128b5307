"""Finds plug-ins by their being there: the modules of a package, and the checks and rules among them by number.

Checks and rules are modules ``vcNNN_name``, whose docstrings are their pages.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from types import ModuleType

_NUMBERED = re.compile(r"vc\d{3}_\w+")


def module_names(paths: Iterable[str]) -> list[str]:
    """Return the modules below a package's ``__path__``, in order; none is imported."""
    return sorted(found.name for found in pkgutil.iter_modules(paths))


def numbered(paths: Iterable[str]) -> list[str]:
    """Return the numbered modules below a package's ``__path__``, by number; none is imported."""
    return [name for name in module_names(paths) if _NUMBERED.fullmatch(name)]


def id_of(name: str) -> str:
    """Return the id of a numbered module: ``VC005`` of ``vc005_known_issue``."""
    return name[:5].upper()


def modules(package: str, paths: Iterable[str]) -> dict[str, ModuleType]:
    """Return the numbered modules of a package, by id and in their order."""
    return {id_of(name): importlib.import_module(f"{package}.{name}") for name in numbered(paths)}


def pages(package: str, paths: Iterable[str]) -> dict[str, str]:
    """Return the page of every numbered module of a package, by id."""
    return {id_: inspect.cleandoc(module.__doc__ or "") for id_, module in modules(package, paths).items()}
