"""The target interpreter. It is started once, by its path, and lists what is installed in it."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pydantic import ValidationError

from vc2doctor.core import child
from vc2doctor.core.child import ChildRun, TargetError
from vc2doctor.core.executables import is_executable
from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.core.versions import MAX_REQUIREMENT_LENGTH, MAX_VERSION_LENGTH
from vc2doctor.environment import bytecode
from vc2doctor.environment.model import Distribution, Interpreter, Module, ObservationFailure, Platform

_SCRIPT = Path(__file__).parents[1] / "target" / "describe_environment.py"
OLDEST_PYTHON = (3, 8)
_VERSION_SECONDS = 5.0
"""Time limit for the version alone; it needs no package."""
_TELL_VERSION = "import sys; sys.stdout.write('Python %d.%d' % sys.version_info[:2])"
"""Every Python understands this, from 2.7 on."""
_VERSION = re.compile(r"Python (\d{1,3})\.(\d{1,3})")
_FATAL_ERROR = "Fatal Python error"
"""What CPython prints if it cannot start (Python/pylifecycle.c): a Python, though a broken one."""
_MAX_QUOTED_LINES = 12
_MAX_QUOTED_CHARACTERS = 300
"""Of the target's last line, so that an error message stays one paragraph."""
_ADVICE = "Pass the path of a python or of a venv's folder."
_DROPPED_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PYTHONSTARTUP", "PYTHONINSPECT")
"""The first is set by the doctor; the other two run a user's file or keep the interpreter open after the script."""


def find(python: str) -> str:
    """Return the path of the executable that ``python`` names: a file, a command on ``PATH``, or a venv's folder.

    Raises:
        TargetError: there is no such executable.
    """
    path = Path(python).expanduser()
    if path.is_dir():
        path = _in_folder(python, path)
    if path.is_file():
        if not is_executable(path):
            message = f"--python {python}: this file cannot be run, so it is no interpreter. {_ADVICE}"
            raise TargetError(message)
        # Links are not resolved: a venv's python is a link, and only through that link it is the venv's.
        return os.path.abspath(path)  # noqa: PTH100
    command = shutil.which(python)
    if command is None:
        message = f"--python {python}: there is no such interpreter. {_ADVICE}"
        raise TargetError(message)
    return command


def _in_folder(named: str, folder: Path) -> Path:
    """Return the interpreter of the environment in ``folder``, which the user named as ``named``.

    Raises:
        TargetError: the folder has none.
    """
    for candidate in (folder / "bin" / "python", folder / "python", folder / "bin" / "python3"):
        if candidate.is_file():
            return candidate
    inner = next((each.parent.parent for each in sorted(folder.glob("*/bin/python")) if each.is_file()), None)
    # glob leaves out names that begin with a dot, as most environments of projects do.
    inner = folder / ".venv" if (folder / ".venv" / "bin" / "python").is_file() else inner
    hint = _ADVICE if inner is None else f"Did you mean --python {inner}?"
    message = f"--python {named}: this folder has no bin/python, so it is not the folder of an environment. {hint}"
    raise TargetError(message)


def variables(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a child in the target: the user's own, without those that disturb it.

    The child writes no bytecode into the target; it may write where ``PYTHONPYCACHEPREFIX`` says.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _DROPPED_VARIABLES}
    may_write = bytecode.VARIABLE in inherited or bytecode.VARIABLE in (extra or {})
    own = {} if may_write else {"PYTHONDONTWRITEBYTECODE": "1"}
    return {**inherited, **own, **(extra or {})}


class TargetFacts:
    """What the target interpreter reports about itself and its packages."""

    def __init__(self, path: str, event: dict[str, Any]) -> None:
        self.interpreter = Interpreter(path=path, **event["interpreter"])
        self.platform = Platform(**event["platform"])
        self.distributions = tuple(_distribution(fields) for fields in event["distributions"])
        self.modules = tuple(Module(**fields) for fields in event["modules"])


class ObservationError(TargetError):
    """The target is a Python, or may be one, and did not describe its environment."""

    exit_code = 3

    def __init__(self, path: str, failure: ObservationFailure) -> None:
        super().__init__(f"{path} did not describe its environment: {failure.in_words}")
        self.failure = failure


def observe(path: str, timeout: float = DESCRIPTION_SECONDS) -> TargetFacts:
    """Run ``target/describe_environment.py`` in the interpreter at ``path`` for at most ``timeout`` seconds.

    Raises:
        ObservationError: it did not answer: it hung, crashed, or ended early.
        TargetError: the interpreter cannot be started, or is not a Python 3.8 or newer.
    """
    events: list[dict[str, Any]] = []
    # -B writes no bytecode into the target. Not -I: it hides --user packages and PYTHONPATH, which the training sees.
    run = child.run(lambda channel: [path, "-B", str(_SCRIPT), *map(str, channel)], variables(), timeout, events.append)
    if run.ending == "interrupted":
        raise KeyboardInterrupt
    answer = next((event for event in events if event.get("event") == "facts"), None)
    if answer is None or run.code != 0:
        raise _error_of(path, run, timeout)
    try:
        return TargetFacts(path, answer)
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        problem = f"its answer cannot be read: {type(error).__name__}: {error}"
        failure = ObservationFailure(ending="unreadable", seconds=run.seconds, problem=problem[:_MAX_QUOTED_CHARACTERS])
        raise ObservationError(path, failure) from error


def _error_of(path: str, run: ChildRun, timeout: float) -> TargetError:
    """Return the error for a program that did not describe an environment: it is no Python, or one that failed."""
    version = _version_without_site(path, min(timeout, _VERSION_SECONDS))
    if version is not None and version < OLDEST_PYTHON:
        is_old = f"{path} is Python {version[0]}.{version[1]}. The doctor examines Python 3.8 and newer."
        return TargetError(is_old)
    if run.ending == "exit" and version is None and _FATAL_ERROR not in run.errors:
        message = (
            f"{path} is not a usable Python 3.8 or newer (exit code {run.code}). It printed: {_last_line(run)}."
            f" {_ADVICE}"
        )
        return TargetError(message)
    failure = ObservationFailure(
        ending=run.ending if run.ending != "interrupted" else "exit",
        code=run.code,
        signal=run.signal,
        seconds=run.seconds,
        starts_without_site=version is not None,
        output=tuple((run.errors or run.output).splitlines()[-_MAX_QUOTED_LINES:]),
    )
    return ObservationError(path, failure)


def _version_without_site(path: str, timeout: float) -> tuple[int, int] | None:
    """Return the version that the program reports if it skips ``sitecustomize`` and ``.pth`` files; ``None``: none."""
    try:
        run = child.run(lambda _: [path, "-E", "-s", "-S", "-B", "-c", _TELL_VERSION], variables(), timeout, _ignore)
    except TargetError:
        return None
    match = _VERSION.fullmatch(run.output)
    return (int(match[1]), int(match[2])) if match else None


def _ignore(_: object) -> None:
    """Ignore an event."""


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
