"""Run one untrusted child process and report how it ended, whatever it does.

A supervisor process (``core/supervisor.py``) ends the child and all that it started, also if the doctor is killed. The
child writes its events as JSON Lines to a pipe of its own. What it prints to stdout and stderr goes to two bounded
buffers. POSIX only: on Windows a parent cannot pass a chosen file descriptor to a child.

**The secret of the run.** The child gets a random text through another pipe, reads it before it imports any code of the
user, and repeats it in every event; an event without it is malformed. So code in the target cannot pass off recorded
events, or lines that it wrote itself, as those of the worker. This is no wall: code in the same process can read the
worker's memory, replace ``os.write``, or, from a ``.pth`` file, read the pipe before the worker does. And no secret
helps against a torch that computes the numbers it wants to be measured. Who can write into the environment can make it
seem fit; the doctor does not examine an environment against its owner.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import FileIO
from typing import NamedTuple

from vc2doctor.core import supervisor
from vc2doctor.core.data import OwnData
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.listener import Ending, Listener, OnEvent, Sources, Status, text_of
from vc2doctor.core.memory import out_of_memory_kills

_SECRET_BYTES = 16
_START_SUPERVISOR = """
import os, sys
sys.path.insert(0, sys.argv[1])
import supervisor
supervisor.main(sys.argv[2:])
os._exit(0)
"""
"""Imports the supervisor by name, because Python keeps the bytecode of imported modules. It compiles a program that is
started by path each time."""
_STOP_SECONDS = supervisor.OUTER_SECONDS + supervisor.KILL_SECONDS + 1
"""How long both supervisors may take to end everything. After that the doctor does it itself."""


class TargetError(DoctorError):
    """The target interpreter cannot be started, or is not a usable Python."""


class SupervisorError(DoctorError):
    """The doctor cannot start processes of its own."""

    exit_code = 3


class Channel(NamedTuple):
    """Two file descriptors that the child inherits."""

    events: int
    """It writes its events here."""
    secret: int
    """It reads the secret of the run here, up to the end."""


class ChildRun(OwnData):
    """How a child process ended, and what it printed."""

    ending: Ending
    """``exit`` (see ``code``), ``signal`` (a signal killed it that the doctor did not send), ``timeout``, ``flood`` (it
    wrote too many events) or ``interrupted`` (Ctrl-C). In the last three cases the doctor stopped it."""
    code: int | None = None
    signal: str | None = None
    """``SIGSEGV``."""
    seconds: float
    output: str = ""
    """The end of its stdout, at most 16 KiB."""
    errors: str = ""
    """The end of its stderr, at most 16 KiB."""
    malformed_events: int = 0
    """Lines on the event pipe that are not JSON objects with the secret of the run."""
    out_of_memory: bool = False
    """The kernel killed a process of this control group for lack of memory while the child ran."""


def run(
    command: Callable[[Channel], Sequence[str]],
    environment: Mapping[str, str],
    timeout: float,
    on_event: OnEvent,
) -> ChildRun:
    """Run ``command(channel)`` in its own session for at most ``timeout`` seconds.

    When it ends, every process that it started is killed. So it is if ``on_event`` raises, and if the doctor ends.

    Raises:
        SupervisorError: the doctor cannot start processes of its own.
        TargetError: the program cannot be started.
    """
    if sys.platform == "win32":  # pragma: no cover
        message = "Windows is not supported yet. Run the doctor inside WSL, where the training runs as well."
        raise TargetError(message)
    kills_before = out_of_memory_kills()
    with _Pipes() as pipes:
        arguments = list(command(pipes.channel))
        job = _job(timeout, pipes.channel, arguments, environment)
        with (
            _supervised(pipes, job) as (process, secret),
            contextlib.closing(Listener(_sources(pipes, process), secret, on_event)) as listener,
        ):
            # The supervisors keep the time. The doctor does only if both were stopped.
            ending = listener.listen(timeout + _STOP_SECONDS)
            pipes.lifeline.close()
            listener.drain(_STOP_SECONDS)
            seconds = listener.seconds
        _end_group(listener.status)
        if ending != "interrupted":
            _check_start(listener, arguments[0])
    return _run_of(ending, seconds, listener, out_of_memory=out_of_memory_kills() > kills_before)


def _run_of(ending: Ending, seconds: float, listener: Listener, *, out_of_memory: bool) -> ChildRun:
    code = listener.status.code
    return ChildRun(
        ending=ending,
        code=code if code is not None and code >= 0 else None,
        signal=_signal_name(code),
        seconds=round(seconds, 3),
        output=listener.output,
        errors=listener.errors,
        malformed_events=listener.malformed_events,
        out_of_memory=out_of_memory,
    )


class _Pipe:
    """A pipe whose two ends can be closed more than once."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.reader, self.writer = FileIO(reader, "rb"), FileIO(writer, "wb")

    def close(self) -> None:
        """Close both ends."""
        self.reader.close()
        self.writer.close()


class _Pipes(contextlib.ExitStack):
    """The pipes of one run; all are closed at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.events, self.secret, self.status, self.lifeline = (self._pipe() for _ in range(4))
        self.channel = Channel(self.events.writer.fileno(), self.secret.reader.fileno())

    def _pipe(self) -> _Pipe:
        try:
            pipe = _Pipe()
        except OSError as error:
            self.close()
            message = f"the doctor cannot open a pipe: {error.strerror}"
            raise SupervisorError(message) from error
        self.callback(pipe.close)
        return pipe

    @property
    def ends_of_child(self) -> tuple[FileIO, ...]:
        """What the supervisor inherits, and what the doctor must close: or no reader sees the end of a pipe."""
        return self.lifeline.reader, self.status.writer, self.events.writer, self.secret.reader


def _job(timeout: float, channel: Channel, arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
    try:
        words = [os.fsencode(word) for word in arguments]
        pairs = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
        return supervisor.pack(supervisor.Job(timeout, list(channel), words, pairs))
    except ValueError as error:
        message = f"cannot run {arguments[0]}: {error}"
        raise TargetError(message) from error


@contextlib.contextmanager
def _supervised(pipes: _Pipes, job: bytes) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """Start the supervisor with ``job``; give it and the secret of the run. At the end everything is ended.

    Raises:
        SupervisorError: it cannot be started.
    """
    process = _start(pipes)
    try:
        for end in pipes.ends_of_child:
            end.close()
        secret = os.urandom(_SECRET_BYTES).hex()
        # If the supervisor is gone already, the listener finds out.
        with contextlib.suppress(BrokenPipeError):
            pipes.secret.writer.write(secret.encode())
            pipes.secret.writer.close()
            _write_all(pipes.lifeline.writer, job)
        yield process, secret
    finally:
        pipes.lifeline.close()
        # The child may have stopped it (SIGSTOP).
        process.send_signal(signal.SIGCONT)
        _await_end(process)


def _start(pipes: _Pipes) -> "subprocess.Popen[bytes]":
    ends = pipes.ends_of_child
    numbers = [str(pipes.lifeline.reader.fileno()), str(pipes.status.writer.fileno()), str(os.getpid())]
    folder = os.path.dirname(os.path.abspath(supervisor.__file__))  # noqa: PTH100, PTH120 - links need not be resolved
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _START_SUPERVISOR, folder, *numbers],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[end.fileno() for end in ends],
            start_new_session=True,
        )
    except OSError as error:
        message = f"the doctor cannot start its own Python {sys.executable!r}: {error.strerror}"
        raise SupervisorError(message) from error


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _await_end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the supervisor, whose lifeline is closed, to end. If it does not (it was stopped), kill all below it."""
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        deadline = time.monotonic() + supervisor.KILL_SECONDS
        while (below := supervisor.descendants(process.pid)) and time.monotonic() < deadline:
            for pid in below:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _sources(pipes: _Pipes, process: "subprocess.Popen[bytes]") -> Sources:
    if process.stdout is None or process.stderr is None:
        message = "the supervisor has no pipes for its output"
        raise AssertionError(message)
    return Sources(
        pipes.events.reader.fileno(), process.stdout.fileno(), process.stderr.fileno(), pipes.status.reader.fileno()
    )


def _end_group(status: Status) -> None:
    """Kill the process group of a child whose end was not reported, because the supervisor was killed.

    The kernel has done that already where it has ``prctl``.
    """
    # 0 and 1 are no child: the doctor's own group, and that of the system's first process.
    if status.pid is not None and status.pid > 1 and status.reason is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(status.pid, signal.SIGKILL)


def _check_start(listener: Listener, program: str) -> None:
    """Check that the child was started.

    Raises:
        SupervisorError: the supervisor ended before it could try.
        TargetError: the program cannot be started.
    """
    if listener.status.failed is not None:
        message = f"cannot run {program}: {text_of(listener.status.failed)}"
        raise TargetError(message)
    if listener.status.pid is None:
        message = (
            f"the doctor's own Python {sys.executable!r} ended too early: {listener.errors or 'it printed nothing'}"
        )
        raise SupervisorError(message)


def _signal_name(code: int | None) -> str | None:
    """Return the name of the signal that killed the child. If its end was not reported, that signal was SIGKILL."""
    if code is None:
        return signal.SIGKILL.name
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
