"""Run one untrusted child process and report how it ended, whatever it does.

The child writes its events as JSON Lines to a pipe of its own. What it prints to stdout and stderr goes to two
bounded buffers. POSIX only: on Windows a parent cannot pass a chosen file descriptor to a child.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError

TAIL_BYTES = 16 * 1024
"""How much of the end of stdout and of stderr is kept: enough for a traceback, small enough for a report."""
MAX_LINE_BYTES = 1024 * 1024
"""A longer event line is dropped, so that a child without newlines cannot fill the doctor's memory."""
MAX_EVENT_BYTES = 4 * 1024 * 1024
"""A child that writes more than this is stopped, because it may never end."""
GRACE_SECONDS = 1.0
"""How long the pipes are read after the child was asked to end."""
POLL_SECONDS = 0.1
"""How often the listener looks whether the child has ended. The pipes cannot tell: a grandchild may keep them open."""
DRAIN_POLL_SECONDS = 0.02
"""The same while the rest of the output is read."""
CHUNK_BYTES = 65536
"""One read: the capacity of a pipe on Linux (``man 7 pipe``)."""

Ending = Literal["exit", "signal", "timeout", "flood", "interrupted"]
OnEvent = Callable[[dict[str, Any]], None]


class TargetError(DoctorError):
    """The target interpreter cannot be started, or is not a usable Python."""


class ChildRun(Data):
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
    """Lines on the event pipe that are not JSON objects."""
    out_of_memory: bool = False
    """The kernel killed a process of this control group for lack of memory while the child ran."""


def run(
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    timeout: float,
    on_event: OnEvent,
) -> ChildRun:
    """Run ``command(descriptor)`` in its own session for at most ``timeout`` seconds.

    The child writes its events to ``descriptor``. When it ends, every process left in its group is killed.

    Raises:
        TargetError: the program cannot be started.
    """
    if sys.platform == "win32":  # pragma: no cover
        message = "Windows is not supported yet. Run the doctor inside WSL, where the training runs as well."
        raise TargetError(message)
    kills_before = _out_of_memory_kills()
    child, events = _start(command, environment)
    with (
        child,
        _killed_on_error(child),
        contextlib.closing(_Listener(child, events, on_event)) as listener,
    ):
        ending = listener.listen(timeout)
        if ending != "exit":
            _stop(child, listener, ask_first=ending == "timeout")
        _kill_group(child)
        code = child.wait()
        listener.drain()
        return ChildRun(
            ending="signal" if ending == "exit" and code < 0 else ending,
            code=code if code >= 0 else None,
            signal=_signal_name(-code) if code < 0 else None,
            seconds=round(listener.seconds, 3),
            output=listener.tail(child.stdout),
            errors=listener.tail(child.stderr),
            malformed_events=listener.malformed_events,
            out_of_memory=_out_of_memory_kills() > kills_before,
        )


def _start(
    command: Callable[[int], Sequence[str]], environment: Mapping[str, str]
) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the child; return it and the reading end of its event pipe."""
    reader, writer = os.pipe()
    arguments = list(command(writer))
    try:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writer,),
            start_new_session=True,
            env=dict(environment),
        )
    except (OSError, ValueError) as error:
        os.close(reader)
        message = f"cannot run {arguments[0]}: {getattr(error, 'strerror', None) or error}"
        raise TargetError(message) from error
    finally:
        # The parent must close its copy, or the reader never sees the end of the pipe.
        os.close(writer)
    return child, reader


@contextlib.contextmanager
def _killed_on_error(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill the child when the doctor itself raises: ``with child`` alone would wait for it to end."""
    try:
        yield
    except BaseException:
        _kill_group(child)
        raise


class _Listener:
    """Reads the three pipes of a child and never blocks on one of them."""

    def __init__(self, child: "subprocess.Popen[bytes]", events: int, on_event: OnEvent) -> None:
        self.malformed_events = 0
        self._child = child
        self._events = events
        self._on_event = on_event
        self._unfinished_line = b""
        self._is_skipping_line = False
        self._event_bytes = 0
        self._tails: dict[int, bytearray] = {}
        self._start_time = time.monotonic()
        self._selector = selectors.DefaultSelector()
        for pipe in (events, child.stdout, child.stderr):
            if pipe is not None:
                descriptor = pipe if isinstance(pipe, int) else pipe.fileno()
                os.set_blocking(descriptor, False)
                self._selector.register(descriptor, selectors.EVENT_READ)
                self._tails[descriptor] = bytearray()

    @property
    def seconds(self) -> float:
        """Seconds since the child was started."""
        return time.monotonic() - self._start_time

    def listen(self, timeout: float) -> Ending:
        """Read until the child ends, ``timeout`` seconds have passed, it floods the pipe, or the user interrupts."""
        try:
            while self._child.poll() is None:
                remaining = timeout - self.seconds
                if remaining <= 0:
                    return "timeout"
                self._read(min(remaining, POLL_SECONDS))
                if self._event_bytes > MAX_EVENT_BYTES:
                    return "flood"
        except KeyboardInterrupt:
            return "interrupted"
        return "exit"

    def drain(self, seconds: float = GRACE_SECONDS) -> None:
        """Read the rest of the output, but do not wait for a pipe that a stray grandchild still holds open."""
        deadline = time.monotonic() + seconds
        while self._selector.get_map() and time.monotonic() < deadline:
            if not self._read(DRAIN_POLL_SECONDS) and self._child.poll() is not None:
                break

    def close(self) -> None:
        """Close the event pipe."""
        self._selector.close()
        os.close(self._events)

    def tail(self, pipe: Any) -> str:  # noqa: ANN401 - the pipes of Popen have no simple type
        """Return the end of what the child wrote to its stdout or stderr."""
        return bytes(self._tails[pipe.fileno()]).decode("utf-8", "replace").replace("\0", "").strip()

    def _read(self, wait: float) -> int:
        """Wait at most ``wait`` seconds for data, take it in, and return the number of bytes read."""
        total = 0
        for key, _ in self._selector.select(wait):
            try:
                data = os.read(key.fd, CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(key.fd)
            elif key.fd == self._events:
                self._take_events(data)
            else:
                tail = self._tails[key.fd]
                tail += data
                del tail[:-TAIL_BYTES]
            total += len(data)
        return total

    def _take_events(self, data: bytes) -> None:
        self._event_bytes += len(data)
        *lines, self._unfinished_line = (self._unfinished_line + data).split(b"\n")
        for line in lines:
            if self._is_skipping_line:
                # This is the end of a line that was too long; the next line is read again.
                self._is_skipping_line = False
            else:
                self._take_line(line)
        if len(self._unfinished_line) > MAX_LINE_BYTES:
            self.malformed_events += not self._is_skipping_line
            self._is_skipping_line, self._unfinished_line = True, b""

    def _take_line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            self._on_event(event)
        else:
            self.malformed_events += 1


def _stop(child: "subprocess.Popen[bytes]", listener: _Listener, *, ask_first: bool) -> None:
    # The worker dumps its stack when it gets SIGTERM, so that the report can say where it hung.
    if ask_first:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            listener.drain()
    _kill_group(child)


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _out_of_memory_kills() -> int:
    """Return how many processes of this control group the kernel has killed for lack of memory so far."""
    for counter in _out_of_memory_counters():
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in counter.read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _out_of_memory_counters() -> list[Path]:
    """Return the files that may count out-of-memory kills: of control groups version 2 (no controllers) and 1."""
    counters: list[Path] = []
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                counters.append(root / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                counters.append(root / "memory" / path.lstrip("/") / "memory.oom_control")
                # Inside a container the path of the host may not exist below the mount.
                counters.append(root / "memory" / "memory.oom_control")
    return counters
