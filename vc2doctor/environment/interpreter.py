"""The target interpreter: started once, by path, to tell what is installed there."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pydantic import ValidationError

from vc2doctor.core import child
from vc2doctor.core.child import TargetError
from vc2doctor.environment.model import Distribution, Interpreter, Module, Platform

_SCRIPT = Path(__file__).parents[1] / "target" / "describe_environment.py"
_TIMEOUT = 60.0
_OWN_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP", "PYTHONINSPECT")


def find(wanted: str | None) -> str:
    """Return the executable that ``wanted`` names: a file, a command on ``PATH``, or the folder of a venv.

    Without ``wanted`` it is the interpreter that runs the doctor.

    Raises:
        TargetError: there is no such executable.
    """
    if wanted is None:
        return sys.executable
    path = Path(wanted).expanduser()
    if path.is_dir():
        candidates = [path / "bin" / "python", path / "python", path / "bin" / "python3"]
        path = next((candidate for candidate in candidates if candidate.is_file()), path / "bin" / "python")
    if path.is_file():
        # Not resolved: the link is what makes a venv's python the venv's.
        return os.path.abspath(path)  # noqa: PTH100
    found = shutil.which(wanted)
    if found is None:
        message = f"--python {wanted}: there is no such interpreter; give the path of a python or of a venv's folder"
        raise TargetError(message)
    return found


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of a child in the target: the user's own, less those that would disturb."""
    kept = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


class TargetFacts:
    """What the target interpreter told of itself."""

    def __init__(self, path: str, event: dict[str, Any]) -> None:
        self.interpreter = Interpreter(path=path, **event["interpreter"])
        self.platform = Platform(**event["platform"])
        self.distributions = tuple(_distribution(entry) for entry in event["distributions"])
        self.modules = tuple(Module(**entry) for entry in event["modules"])


def observe(path: str, timeout: float = _TIMEOUT) -> TargetFacts:
    """Run the script of facts in the interpreter at ``path``.

    Raises:
        TargetError: it cannot be started, is not a Python of 3.8 or newer, or did not answer.
    """
    events: list[dict[str, Any]] = []
    # -B writes no bytecode into the target. Not -I: it would hide --user packages and PYTHONPATH, which training sees.
    done = child.run(
        lambda descriptor: [path, "-B", str(_SCRIPT), str(descriptor)], variables(), timeout, events.append
    )
    if done.ending == "interrupted":
        raise KeyboardInterrupt
    answer = next((event for event in events if event.get("event") == "facts"), None)
    if answer is None or done.code != 0:
        last = (done.errors or done.output or "nothing").splitlines()[-1][:300]
        how = f"exit code {done.code}" if done.ending == "exit" else f"{done.ending} {done.signal or ''}".strip()
        message = f"{path} did not tell its facts ({how}); its last words: {last}. Is it a Python of 3.8 or newer?"
        raise TargetError(message)
    try:
        return TargetFacts(path, answer)
    except (ValidationError, KeyError, TypeError) as error:
        message = f"{path} told facts that cannot be read: {error}"
        raise TargetError(message) from error


def _distribution(entry: dict[str, Any]) -> Distribution:
    return Distribution(**{**entry, "name": canonicalize_name(str(entry["name"]))})
