"""The doors: the ways into the stack that people train through, one file each.

A door is a module of this folder with an object ``DOOR``. It says how to import what the door needs, and takes the
smallest real training steps through it. A new door needs no registration: the file is enough.

This package and the top level of its modules use the standard library alone, so that the doctor can read the table
without the stack; everything else is imported when the door is opened.
"""

import importlib
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ..shared.code_use import CodeUse

LOOP = "loop"
"""The plain training loop, which the recipes take: always tried, and therefore not in the table."""


class Unavailable(Exception):  # noqa: N818 - a fact about the environment, no error
    """The door cannot be tried here: the installed release does not have it, or this machine cannot run it."""


class Doubt(Exception):  # noqa: N818 - the steps end well, so it is no error
    """The door trains, and does not do what its user means; ``losses`` are those of its steps."""

    def __init__(self, message: str, losses: List[Optional[float]]) -> None:
        super().__init__(message)
        self.losses = losses


class Door(NamedTuple):
    """One way into the stack.

    ``modules`` must all be found before the door is opened; ``a|b`` means either. ``signs`` are dotted names whose use
    in training code shows that it goes through this door. ``load`` imports what the door needs. ``train`` gets the kit
    of ``probe/door_kit.py``, takes a few optimizer steps, and returns the loss of each (``None``: NaN or infinite).
    ``fault`` names the function, as ``module:Class.method``, that only this door calls: the tests break it to show that
    the probe notices; it is empty where releases have real faults. ``parent`` is the door that it goes through: what
    fails there fails here. ``default`` doors matter unless the code says otherwise. A door with ``needs_adapters`` is
    closed where no adapters are trained.
    A door that is ``only_if_used`` is opened for code that uses it, and not imported for other code. ``is_used``
    tells that from more than ``signs``. With ``needs_architecture`` it is opened only where the probe trains the user's
    architecture. ``advice`` is what users change in their code if it fails; otherwise versions are the remedy.
    """

    name: str
    title: str
    load: Callable[[], Any]
    train: Callable[[Any], List[Optional[float]]]
    modules: Tuple[str, ...] = ()
    signs: Tuple[str, ...] = ()
    fault: str = ""
    parent: str = LOOP
    default: bool = False
    needs_adapters: bool = False
    only_if_used: bool = False
    is_used: Optional[Callable[[CodeUse], bool]] = None
    needs_architecture: bool = False
    advice: str = ""

    def is_there(self, has: Callable[[str], bool]) -> bool:
        """Return whether ``has`` holds for every module that the door needs; of alternatives one is enough."""
        return all(any(has(name) for name in names.split("|")) for names in self.modules)

    @property
    def words(self) -> Tuple[str, ...]:
        """The word of each sign without which code cannot show it: its last class, else its last part."""
        parts = [sign.split(".") for sign in self.signs]
        return tuple(next((part for part in reversed(names) if part[0].isupper()), names[-1]) for names in parts)


def _discover() -> Dict[str, Door]:
    folder = os.path.dirname(os.path.abspath(__file__))
    stems = sorted(name[: -len(".py")] for name in os.listdir(folder) if name.endswith(".py"))
    modules = [importlib.import_module("%s.%s" % (__name__, stem)) for stem in stems if stem != "__init__"]
    doors = [module.DOOR for module in modules if hasattr(module, "DOOR")]
    # The default ones first: what they find out matters most if time runs out.
    return {door.name: door for door in sorted(doors, key=lambda door: (not door.default, door.name))}


DOORS: Dict[str, Door] = _discover()
"""The table by name; the doors that matter by default come first."""

COMMON_DOORS = {name: door for name, door in DOORS.items() if not door.only_if_used}
"""The doors that are imported wherever their packages are installed."""

DEFAULT_DOORS = tuple(door.name for door in DOORS.values() if door.default)
"""The doors that matter if neither the user nor the code names any."""


def door_named(name: str) -> str:
    """Return ``name``, if it is the name of a door or ``loop``.

    Raises:
        ValueError: there is no such door.
    """
    if name != LOOP and name not in DOORS:
        raise ValueError("%r is not one of %s" % (name, ", ".join([LOOP, *DOORS])))
    return name
