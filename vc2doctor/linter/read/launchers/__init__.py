"""The launchers and frameworks whose settings are understood: one file each, found by its being here.

A launcher is a module with ``LAUNCHER``. It reads a configuration or a command into ``RunSettings``, and says nothing
about files that are not its own.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

from vc2doctor.core import discovery
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.run_settings import RunSettings


def _nothing(_: object) -> None:
    return None


class Launcher(NamedTuple):
    """One launcher or framework."""

    name: str
    of_config: Callable[[Config], RunSettings | None] = _nothing
    """Return what a configuration asks for; ``None``: it belongs to somebody else."""
    of_launch: Callable[[Launch], RunSettings | None] = _nothing
    """Return what a command asks for; ``None``: it does not use this launcher."""
    is_general: bool = False
    """Whether the launcher's own keys are also keys of others, so that the others are asked first."""


@lru_cache(maxsize=1)
def known() -> tuple[Launcher, ...]:
    """Return every launcher, by the name of its module; the general ones last."""
    launchers = [import_module(f"{__name__}.{name}").LAUNCHER for name in discovery.module_names(__path__)]
    return tuple(sorted(launchers, key=lambda launcher: launcher.is_general))


def of_config(config: Config) -> RunSettings | None:
    """Return what a configuration asks for; ``None``: no launcher knows it."""
    readings = (launcher.of_config(config) for launcher in known())
    return next((settings for settings in readings if settings is not None), None)


def of_launch(launch: Launch) -> tuple[RunSettings, ...]:
    """Return what a command asks for, by every launcher that takes part in it."""
    readings = (launcher.of_launch(launch) for launcher in known())
    return tuple(settings for settings in readings if settings is not None)
