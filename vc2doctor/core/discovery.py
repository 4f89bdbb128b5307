"""Find checks, lint rules and report formats by the modules in their package.

Checks and rules are modules named ``vcNNN_name``. The docstring of such a module is its page.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from types import ModuleType

_NUMBERED_NAME = re.compile(r"vc\d{3}_\w+")


def module_names(paths: Iterable[str]) -> list[str]:
    """Return the sorted names of the modules below a package's ``__path__``, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(paths))


def numbered_module_names(paths: Iterable[str]) -> list[str]:
    """Return the names of the ``vcNNN_name`` modules below a package's ``__path__``, without importing them."""
    return [name for name in module_names(paths) if _NUMBERED_NAME.fullmatch(name)]


def id_of(name: str) -> str:
    """Return the id of a numbered module: ``VC005`` for ``vc005_known_issue``."""
    return name[: len("vcNNN")].upper()


def modules(package: str, paths: Iterable[str]) -> dict[str, ModuleType]:
    """Import the numbered modules of a package and return them by id, sorted by id."""
    return {id_of(name): importlib.import_module(f"{package}.{name}") for name in numbered_module_names(paths)}


def pages(package: str, paths: Iterable[str]) -> dict[str, str]:
    """Return the page of every numbered module of a package, by id."""
    return {id_: inspect.cleandoc(module.__doc__ or "") for id_, module in modules(package, paths).items()}
