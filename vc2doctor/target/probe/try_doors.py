"""Opens the doors: imports each whose packages are installed, and trains through those that matter."""

import importlib.util
import os
import tempfile
import time
from typing import Any, Dict, Optional

from ..doors import COMMON_DOORS, DOORS, Door, Doubt, Unavailable
from ..runtime import EventSink, Runtime
from ..shared.spec import Spec
from .door_kit import Kit, leave_running_job
from .exceptions import describe


def run(events: EventSink, runtime: Runtime, spec: Spec) -> None:
    """Emit ``door`` and ``door-end`` for every door that is installed; those that matter come first.

    A door that does not matter is imported and not trained through.
    """
    leave_running_job()
    wanted = [name for name, door in DOORS.items() if name in spec.doors and _can_be_built(spec, door)]
    for name in wanted + [name for name in COMMON_DOORS if name not in wanted]:
        door = DOORS[name]
        trains = name in wanted
        if not trains and not (spec.import_doors and _is_open(spec, door)):
            continue
        started = time.perf_counter()
        events.emit("door", door=name, trains=trains)
        facts = _open(runtime, spec, door, trains=trains)
        events.emit("door-end", door=name, seconds=round(time.perf_counter() - started, 3), **facts)


def _can_be_built(spec: Spec, door: Door) -> bool:
    """Return whether there is what the door trains: a plain model cannot stand for the user's architecture there."""
    return bool(spec.architecture) or not door.needs_architecture


def _is_open(spec: Spec, door: Door) -> bool:
    return door.is_there(_find) and (spec.adapters or not door.needs_adapters)


def _find(module: str) -> bool:
    """Return whether a module can be found; it is not imported for that."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _open(runtime: Runtime, spec: Spec, door: Door, *, trains: bool) -> Dict[str, Any]:
    """Return the facts of a door: how far it got, the losses, what moved, and any error."""
    facts: Dict[str, Any] = {"phase": "import", "losses": [], "moved": None, "unavailable": None, "error": None}
    facts["doubt"] = None
    try:
        door.load()
        if trains:
            facts["phase"] = "step"
            facts.update(_train(runtime, spec, door))
    except Unavailable as reason:
        facts["unavailable"] = str(reason)
    except BaseException as error:  # a package can raise SystemExit, also in its step
        if isinstance(error, KeyboardInterrupt):
            raise
        facts["error"] = describe(error)
    return facts


def _train(runtime: Runtime, spec: Spec, door: Door) -> Dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="vc2doctor-door-") as folder:
        kit = Kit(runtime, spec, folder)
        here, variables = os.getcwd(), dict(os.environ)
        doubt: Optional[str] = None
        os.chdir(folder)  # libraries write logs and caches into the current directory
        try:
            losses = door.train(kit)
        except Doubt as found:
            losses, doubt = found.losses, str(found)
        finally:
            os.chdir(here)
            # A door that acts as a process of a job sets RANK, and accelerate would join a job behind the next door.
            os.environ.clear()
            os.environ.update(variables)
        moved: Optional[float] = kit.moved()
    return {"losses": losses, "moved": moved, "doubt": doubt}
