"""The sources of facts about this machine and folder: one file each, found by its being here.

A source is a module with ``SOURCE``. Its facts stand in the field of ``Environment`` that has the source's name, or, if
there is no such field, under that name in ``Environment.further``.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from vc2doctor.core import discovery
from vc2doctor.core.data import Data


class Context(NamedTuple):
    """What a source may need to know."""

    folder: Path
    """The folder in which training is started."""
    installed: frozenset[str]
    """The modules of the stack and of its companions that the target interpreter finds."""
    prefix: Path
    """The folder of the environment (``sys.prefix``)."""
    folders: dict[str, Path]
    """The folder that holds each installed distribution, by its canonical name."""


class Source(NamedTuple):
    """One source."""

    name: str
    observe: Callable[[Context], Any]
    """Return the facts as data. What cannot be read is a fact too; a source raises nothing."""
    facts: type[Data]
    """The class of the facts, or of each of them. With it, a report that was saved as JSON can be read again."""


def sources() -> tuple[Source, ...]:
    """Return every source, by the name of its module."""
    names = discovery.module_names(__path__)
    return tuple(import_module(f"{__name__}.{name}").SOURCE for name in names)
