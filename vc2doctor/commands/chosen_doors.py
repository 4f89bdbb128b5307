"""Chooses the doors that matter to a check: the ways into the stack that a user trains through."""

from collections.abc import Collection

from vc2doctor.commands.report import CodeReading
from vc2doctor.target.doors import DEFAULT_DOORS, DOORS, LOOP


def doors_that_matter(
    asked: tuple[str, ...] | None, code: CodeReading, installed: Collection[str], *, knows_architecture: bool
) -> tuple[str, ...]:
    """Return the doors that the user asked for, else those of the code, else the default ones.

    Code that was read whole and shows no door trains by itself: a default door whose packages are not ``installed`` is
    no fault there. Without a known architecture, nothing is said of the doors that need it.
    """
    named = (code.doors or DEFAULT_DOORS) if asked is None else asked
    if asked is None and code.path is not None and not code.doors and not code.unread:
        named = tuple(door for door in named if DOORS[door].is_there(installed.__contains__))
    return tuple(door for door in named if door != LOOP and (knows_architecture or not DOORS[door].needs_architecture))
