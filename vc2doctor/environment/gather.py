"""Ask every source of facts once."""

from pathlib import Path
from typing import Any

from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.environment import interpreter
from vc2doctor.environment.interpreter import ObservationError
from vc2doctor.environment.model import Environment, Interpreter, ObservationFailure, Platform, TargetChoice
from vc2doctor.environment.sources import Context, sources


def gather(choice: TargetChoice, folder: Path, timeout: float = DESCRIPTION_SECONDS) -> Environment:
    """Return the facts about the interpreter of ``choice``, for a training script that is started in ``folder``.

    The interpreter has ``timeout`` seconds to describe its environment. If it fails to, that is a fact as well.

    Raises:
        TargetError: the interpreter cannot be started, or is not a Python 3.8 or newer.
    """
    described = _described_by_target(choice.python, timeout)
    installed = frozenset(module.name for module in described["modules"] if module.origin is not None)
    folders = {entry.name: Path(entry.path).parent for entry in reversed(described["distributions"])}
    context = Context(folder, installed, Path(described["interpreter"].prefix), folders)
    observed = {source.name: source.observe(context) for source in sources()}
    return Environment(
        choice=choice,
        shadows=observed.pop("shadows"),
        cpu=observed.pop("cpu"),
        nvidia=observed.pop("nvidia"),
        further=observed,
        **described,
    )


def _described_by_target(path: str, timeout: float) -> dict[str, Any]:
    """Return the fields of ``Environment`` that only the target can fill."""
    try:
        target = interpreter.observe(path, timeout)
    except ObservationError as error:
        return _unknown(path, error.failure)
    return {
        "interpreter": target.interpreter,
        "platform": target.platform,
        "distributions": target.distributions,
        "modules": target.modules,
    }


def _unknown(path: str, failure: ObservationFailure) -> dict[str, Any]:
    return {
        "interpreter": Interpreter(
            path=path,
            version="unknown",
            implementation="unknown",
            prefix=str(Path(path).parent.parent),
            kind="unknown",
            externally_managed=False,
            has_pip=False,
        ),
        "platform": Platform(system="unknown", release="", machine="unknown", libc="", markers={}),
        "distributions": (),
        "modules": (),
        "failure": failure,
    }
