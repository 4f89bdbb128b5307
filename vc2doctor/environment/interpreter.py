"""The target interpreter. It is started once, by its path, and lists what is installed in it."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pydantic import ValidationError

from vc2doctor.core import child
from vc2doctor.core.child import ChildRun, TargetError
from vc2doctor.core.versions import MAX_REQUIREMENT_LENGTH, MAX_VERSION_LENGTH
from vc2doctor.environment.model import Distribution, Interpreter, Module, Platform

_SCRIPT = Path(__file__).parents[1] / "target" / "describe_environment.py"
_TIMEOUT_SECONDS = 60.0
_MAX_QUOTED_CHARACTERS = 300
"""Of the target's last line, so that an error message stays one paragraph."""
_DROPPED_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP", "PYTHONINSPECT")
"""The first is set by the doctor; the other two run a user's file or keep the interpreter open after the script."""


def find(python: str) -> str:
    """Return the path of the executable that ``python`` names: a file, a command on ``PATH``, or a venv's folder.

    Raises:
        TargetError: there is no such executable.
    """
    path = Path(python).expanduser()
    if path.is_dir():
        candidates = [path / "bin" / "python", path / "python", path / "bin" / "python3"]
        path = next((candidate for candidate in candidates if candidate.is_file()), path / "bin" / "python")
    if path.is_file():
        # Links are not resolved: a venv's python is a link, and only through that link it is the venv's.
        return os.path.abspath(path)  # noqa: PTH100
    command = shutil.which(python)
    if command is None:
        message = f"--python {python}: there is no such interpreter. Pass the path of a python or of a venv's folder."
        raise TargetError(message)
    return command


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a child in the target: the user's own, without those that disturb it.

    The child writes no bytecode into the target; it may write where ``PYTHONPYCACHEPREFIX`` says.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _DROPPED_VARIABLES}
    own = {} if "PYTHONPYCACHEPREFIX" in inherited else {"PYTHONDONTWRITEBYTECODE": "1"}
    return {**inherited, **own, **(extra or {})}


class TargetFacts:
    """What the target interpreter reports about itself and its packages."""

    def __init__(self, path: str, event: dict[str, Any]) -> None:
        self.interpreter = Interpreter(path=path, **event["interpreter"])
        self.platform = Platform(**event["platform"])
        self.distributions = tuple(_distribution(fields) for fields in event["distributions"])
        self.modules = tuple(Module(**fields) for fields in event["modules"])


def observe(path: str, timeout: float = _TIMEOUT_SECONDS) -> TargetFacts:
    """Run ``target/describe_environment.py`` in the interpreter at ``path`` for at most ``timeout`` seconds.

    Raises:
        TargetError: the interpreter cannot be started, is not a Python 3.8 or newer, or did not answer in time.
    """
    events: list[dict[str, Any]] = []
    # -B writes no bytecode into the target. Not -I: it hides --user packages and PYTHONPATH, which the training sees.
    run = child.run(lambda descriptor: [path, "-B", str(_SCRIPT), str(descriptor)], variables(), timeout, events.append)
    if run.ending == "interrupted":
        raise KeyboardInterrupt
    answer = next((event for event in events if event.get("event") == "facts"), None)
    if answer is None or run.code != 0:
        message = f"{path} is not a usable Python 3.8 or newer ({_ending_of(run)}). It printed: {_last_line(run)}"
        raise TargetError(message)
    try:
        return TargetFacts(path, answer)
    except (ValidationError, KeyError, TypeError) as error:
        message = f"{path} described its environment in a form that the doctor cannot read: {error}"
        raise TargetError(message) from error


def _ending_of(run: ChildRun) -> str:
    if run.ending == "exit":
        return f"exit code {run.code}"
    if run.ending == "timeout":
        return f"no answer after {run.seconds:.0f} s"
    return f"{run.ending} {run.signal or ''}".strip()


def _last_line(run: ChildRun) -> str:
    return (run.errors or run.output or "nothing").splitlines()[-1][:_MAX_QUOTED_CHARACTERS]


def _distribution(fields: dict[str, Any]) -> Distribution:
    """Return a distribution as the target describes it. Texts that are too long for what they are, are left out."""
    version = fields.get("version")
    is_long = isinstance(version, str) and len(version) > MAX_VERSION_LENGTH
    problem = (f"its version has {len(str(version)):,} characters",) if is_long else ()
    return Distribution(
        **{
            **fields,
            "name": canonicalize_name(str(fields["name"])),
            "version": None if is_long else version,
            "requires": [text for text in fields.get("requires", ()) if len(text) <= MAX_REQUIREMENT_LENGTH],
            "problems": [*fields.get("problems", ()), *problem],
        }
    )
