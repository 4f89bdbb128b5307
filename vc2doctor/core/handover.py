"""Replace this process by another program, which then has what the doctor was started with, and nothing of the doctor.

Process id, parent, process group, terminal, working folder, limits, and the descriptors that were open stay by
themselves (``man 2 execve``). What Python or the doctor changed is changed back here: signals, descriptors, variables.

Two things cannot be known after Python has started: whether ``SIGPIPE`` or ``SIGXFSZ`` was ignored before. The program
gets the default for both, as from ``subprocess``.
"""

import contextlib
import errno
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from vc2doctor.core import reading, streams
from vc2doctor.core.executables import is_executable

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The exit codes of shells for a command that does not exist, and for one that cannot be run."""
REFUSED = 125
"""What ``timeout`` and ``docker run`` end with if they themselves fail: no training program uses it."""
_DESCRIPTOR_FOLDERS = ("/proc/self/fd", "/dev/fd")
_VARIABLES = "/proc/self/environ"
"""The variables as the kernel handed them over. Python may have added LC_CTYPE to its own (PEP 538)."""
_PYTHON_IGNORES = ("SIGPIPE", "SIGXFSZ")


class Inheritance(NamedTuple):
    """What this process was started with, as far as the doctor can change it."""

    descriptors: frozenset[int]


class HandoverError(Exception):
    """The program cannot be run; ``exit_code`` is what a shell would end with."""

    def __init__(self, program: str, reason: str, exit_code: int) -> None:
        super().__init__(f"{program}: {reason}")
        self.exit_code = exit_code


def inheritance() -> Inheritance:
    """Return what this process was started with; to be called before anything is opened for good."""
    return Inheritance(frozenset(_open_descriptors()))


def check_program(program: str) -> None:
    """Check that a command can be run, as a shell looks for it.

    Raises:
        HandoverError: there is no such program, or it cannot be run.
    """
    if os.sep in program:
        candidates = [program]
    else:
        if shutil.which(program) is not None:
            return
        candidates = [os.path.join(folder, program) for folder in os.get_exec_path()]  # noqa: PTH118
    if program and os.path.isdir(program) and os.sep in program:  # noqa: PTH112
        raise HandoverError(program, "it is a folder", NOT_EXECUTABLE)
    existing = [path for path in candidates if os.path.isfile(path)]  # noqa: PTH113 - one with a null byte is none
    if not existing:
        raise HandoverError(program, "command not found", NOT_FOUND)
    if not is_executable(existing[0]):
        raise HandoverError(program, os.strerror(errno.EACCES), NOT_EXECUTABLE)


def replace_process(command: Sequence[str], inherited: Inheritance) -> NoReturn:
    """Run ``command`` in the place of this process. It returns only by an exception.

    Raises:
        HandoverError: the program cannot be run.
    """
    for stream in (sys.stdout, sys.stderr):
        streams.failure(stream)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for name in _PYTHON_IGNORES:
        # Only the main thread may do this.
        with contextlib.suppress(ValueError):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    own = set(_open_descriptors()) - inherited.descriptors
    for descriptor in (*own, *streams.opened()):
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    try:
        os.execvpe(command[0], list(command), _variables())  # noqa: S606 - no shell
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else errno.EINVAL
        code = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE
        raise HandoverError(command[0], getattr(error, "strerror", None) or str(error), code) from error


def _variables() -> dict[bytes, bytes]:
    try:
        block = reading.read_bytes(_VARIABLES)
    except reading.ReadError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs} or dict(os.environb)


def _open_descriptors() -> list[int]:
    for folder in _DESCRIPTOR_FOLDERS:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            numbers = [int(entry.name) for entry in entries if entry.name.isdigit()]
            break
    else:
        return []
    # The list itself needed a descriptor, which is closed by now.
    return [number for number in numbers if _is_open(number)]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
