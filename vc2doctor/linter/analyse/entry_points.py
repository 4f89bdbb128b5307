"""Which loops run a model's code: as launch scripts and configurations say, else every loop of the project."""

from typing import NamedTuple

from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.values import Value
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.module import Class
from vc2doctor.linter.read.shell import Launch


class EntryPoint(NamedTuple):
    """A program that trains."""

    name: str
    """Its file, with the launch script where one tells."""
    dtypes: frozenset[Value]
    """What the region around the model computes in; empty: there is none."""
    loop: Loop


def entries_of(facts: Facts, region: Region) -> list[EntryPoint]:
    """Return the entry points whose loop runs the code of ``region``."""
    unit = facts.code.unit_of(region.place.module)
    loops = [loop for loop in facts.loops.of(unit) if loop.function is not region.place.function]
    importing = [loop for loop in loops if region.place.module in facts.code.import_closure(loop.function.module)]
    loops = importing or loops
    chosen = launched(unit, region.place.function.cls) if region.place.function.cls else []
    named = [
        (loop, launch)
        for loop in loops
        for launch in chosen
        if f"/{loop.function.module.name}".endswith(f"/{_tail(launch.program)}")
    ]
    pairs: list[tuple[Loop, Launch | None]] = list(named) or [(loop, None) for loop in loops]
    entries = {}
    for loop, launch in pairs:
        name = loop.function.module.name + (f" ({launch.name}:{launch.line})" if launch else "")
        dtypes = frozenset(value for outer in loop.regions for value in outer.dtypes)
        if dtypes:
            entries[name] = EntryPoint(name, dtypes, loop)
    return list(entries.values())


def launched(unit: Unit, cls: Class) -> list[Launch]:
    """Return the launches whose configuration names a class."""
    return [
        launch
        for launch in unit.launches
        if any(given_to(launch, config) for config in unit.configs_by_class.get(cls.name, []))
    ]


def given_to(launch: Launch, config: Config) -> bool:
    """Say whether a launch names a configuration: by its path, or beside it by its name."""
    folder = launch.name.rpartition("/")[0]
    for named in launch.configs:
        tail = named.rpartition("/")[2]
        beside = f"{folder}/{tail}" if folder else tail
        if config.name == beside or f"/{config.name}".endswith(f"/{_tail(named)}"):
            return True
    return False


def _tail(path: str) -> str:
    """Return the part of a path after what only the shell knows: ``$(dirname $0)/a.py`` → ``a.py``."""
    parts = [part for part in path.split("/") if part not in (".", "..", "")]
    while parts and any(mark in parts[0] for mark in ("$", "(", ")", "~")):
        parts.pop(0)
    return "/".join(parts) or path
