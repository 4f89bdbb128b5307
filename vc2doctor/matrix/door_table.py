"""The doors by which verdicts on versions differ: those of the probe, and what one door needs of another."""

from typing import NamedTuple

from packaging.utils import canonicalize_name

from vc2doctor.target import doors as ways
from vc2doctor.target.doors import LOOP

PASSED, FAILED = "passed", "failed"
"""Outcomes of a door in a line of evidence."""


class Door(NamedTuple):
    """What a verdict on versions needs to know about a door."""

    parent: str
    """The door that it goes through: what rules that one out rules this one out as well; empty: none."""
    packages: tuple[str, ...]
    """The distributions that it needs beside the stack."""
    title: str
    """Its name in a sentence."""


def _from_the_probe(door: ways.Door) -> Door:
    packages = tuple(str(canonicalize_name(names.partition("|")[0])) for names in door.modules)
    return Door(door.parent, packages, door.title)


DOORS = {
    LOOP: Door("", (), "a plain training loop"),
    **{name: _from_the_probe(each) for name, each in ways.DOORS.items()},
}
"""By name."""


def lineage(name: str) -> tuple[str, ...]:
    """Return a door and the doors that it goes through, the nearest first; an unknown door goes through the loop."""
    doors = [name]
    while doors[-1] != LOOP:
        doors.append(DOORS[doors[-1]].parent if doors[-1] in DOORS else LOOP)
    return tuple(doors)
