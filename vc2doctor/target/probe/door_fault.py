"""Breaks the one function that only a given door calls, so that a test can show that the probe notices."""

import contextlib
import importlib
from typing import Any

from ..doors import Door

MESSAGE = "planted fault"


def plant(door: Door) -> None:
    """Replace the function of ``door.fault`` by one that raises ``RuntimeError``.

    Raises:
        ImportError: no module of ``door.fault`` can be imported.
        AttributeError: the module has no such function.
    """
    modules, _, path = door.fault.partition(":")
    owner = _first_module(modules)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    getattr(owner, name)
    setattr(owner, name, _raise)


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError(MESSAGE)


def _first_module(names: str) -> Any:
    *others, last = names.split("|")
    for name in others:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return importlib.import_module(last)
