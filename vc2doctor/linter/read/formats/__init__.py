"""The formats of configuration files and launch scripts: one file each, found by its being here.

A format is a module with ``FORMAT``. Values are read, never computed: what only a run can decide is ``UNKNOWN``.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Literal, NamedTuple

from vc2doctor.core import discovery
from vc2doctor.linter.read.config import Config, Launch


class Reading(NamedTuple):
    """What one file says."""

    configs: tuple[Config, ...] = ()
    launches: tuple[Launch, ...] = ()
    error: str | None = None
    """Why the file could not be read, although it mentions precision."""


class FileFormat(NamedTuple):
    """One format."""

    suffixes: tuple[str, ...]
    """The endings of its files, in lower case."""
    read: Callable[[str, str], Reading]
    """Return what a file says, from its name and text; an empty reading where it says nothing about precision."""
    kind: Literal["configuration", "script", "document"] = "configuration"
    """What its files are for: they configure programs, start them, or show commands to people."""


@lru_cache(maxsize=1)
def known() -> tuple[FileFormat, ...]:
    """Return every format, by the name of its module."""
    return tuple(import_module(f"{__name__}.{name}").FORMAT for name in discovery.module_names(__path__))


def suffixes() -> tuple[str, ...]:
    """Return the endings of all files that some format reads."""
    return tuple(suffix for each in known() for suffix in each.suffixes)


def config_suffixes() -> tuple[str, ...]:
    """Return the endings of configuration files, which a launch can pass to a program."""
    return tuple(suffix for each in known() if each.kind == "configuration" for suffix in each.suffixes)


def kind_of(name: str) -> Literal["configuration", "script", "document"] | None:
    """Return what a file is for, by the ending of its name; ``None``: no format reads it."""
    return next((each.kind for each in known() if name.lower().endswith(each.suffixes)), None)


def read(name: str, text: str) -> Reading:
    """Return what the formats that fit the name of a file read in it."""
    readings = [each.read(name, text) for each in known() if name.lower().endswith(each.suffixes)]
    return Reading(
        configs=tuple(config for reading in readings for config in reading.configs),
        launches=tuple(launch for reading in readings for launch in reading.launches),
        error=next((reading.error for reading in readings if reading.error is not None), None),
    )
