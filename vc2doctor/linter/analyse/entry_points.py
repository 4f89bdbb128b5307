"""Finds the training loops that run a model's code, by launch scripts and configurations."""

from typing import NamedTuple

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.dtypes import Value
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.module import Class


class EntryPoint(NamedTuple):
    """A program that trains."""

    name: str
    """The file of the program, with the line of the launch script that starts it, if there is one."""
    dtypes: frozenset[Value]
    """The dtypes of the autocast regions around the model; empty: there are none."""
    loop: Loop


def entry_points_of(facts: Facts, region: Region) -> list[EntryPoint]:
    """Return the entry points whose loops run the code of ``region`` inside an autocast region of their own.

    The launch scripts whose configuration names the class of the region decide. Without such a launch, every loop that
    imports the region's module is an entry point; without such an import, every loop of the unit.
    """
    unit = facts.code.unit_of(region.place.module)
    loops = [loop for loop in facts.loops.of(unit) if loop.function is not region.place.function and loop.own_regions]
    importing = [loop for loop in loops if region.place.module in facts.code.import_closure(loop.function.module)]
    loops = importing or loops
    cls = region.place.function.cls
    launches = launches_of_class(unit, cls) if cls is not None else []
    started = [(loop, launch) for loop in loops for launch in launches if _starts(launch, loop)]
    pairs: list[tuple[Loop, Launch | None]] = list(started) or [(loop, None) for loop in loops]
    entry_points = {}
    for loop, launch in pairs:
        entry_point = _entry_point(loop, launch)
        if entry_point.dtypes:
            entry_points[entry_point.name] = entry_point
    return list(entry_points.values())


def _entry_point(loop: Loop, launch: Launch | None) -> EntryPoint:
    name = loop.function.module.name + (f" ({launch.script}:{launch.line})" if launch else "")
    return EntryPoint(name, frozenset(dtype for region in loop.own_regions for dtype in region.dtypes), loop)


def _starts(launch: Launch, loop: Loop) -> bool:
    return f"/{loop.function.module.name}".endswith(f"/{_without_variables(launch.program)}")


def launches_of_class(unit: Unit, cls: Class) -> list[Launch]:
    """Return the launches with a configuration that names a class."""
    configs = unit.configs_by_class.get(cls.name, [])
    return [launch for launch in unit.launches if any(launch_uses(launch, config) for config in configs)]


def launch_uses(launch: Launch, config: Config) -> bool:
    """Return whether a launch names a configuration: by its path, or by the name of a file beside the script."""
    folder = launch.script.rpartition("/")[0]
    for path in launch.config_paths:
        file_name = path.rpartition("/")[2]
        beside_script = f"{folder}/{file_name}" if folder else file_name
        if config.name == beside_script or f"/{config.name}".endswith(f"/{_without_variables(path)}"):
            return True
    return False


def _without_variables(path: str) -> str:
    """Return the end of a path without the parts that only the shell can expand: ``$(dirname $0)/a.py`` → ``a.py``."""
    parts = [part for part in path.split("/") if part not in (".", "..", "")]
    while parts and any(mark in parts[0] for mark in ("$", "(", ")", "~")):
        parts.pop(0)
    return "/".join(parts) or path
