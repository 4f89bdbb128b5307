"""Runs one child process that may do anything at all, and always comes back with facts about how it went.

The child writes JSON Lines to a pipe of its own; what it prints goes to ring buffers. POSIX only: Windows cannot
hand a chosen descriptor to a child.
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

_TAIL = 16 * 1024
_LONGEST_LINE = 1024 * 1024
_MOST_EVENTS = 4 * 1024 * 1024
_GRACE = 1.0
_CHUNK = 65536

Ending = Literal["exit", "signal", "timeout", "flood", "interrupted"]


class TargetError(DoctorError):
    """The target interpreter cannot be started, or is not one."""


class ChildRun(Data):
    """How a child process went."""

    ending: Ending
    """``exit`` (see ``code``), ``signal`` (it died of one by itself), ``timeout``, ``flood`` (more events than
    anybody reads) or ``interrupted`` (Ctrl-C); in the last three the doctor ended it."""
    code: int | None = None
    signal: str | None = None
    """``SIGSEGV``."""
    seconds: float
    output: str = ""
    """The end of what it printed to stdout, at most 16 KiB."""
    errors: str = ""
    """The end of what it printed to stderr, at most 16 KiB."""
    malformed_events: int = 0
    """Lines on the event pipe that are not JSON objects."""
    out_of_memory: bool = False
    """The kernel killed a process of this control group for memory while the child ran."""


def run(
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str],
    timeout: float,
    on_event: Callable[[dict[str, Any]], None],
) -> ChildRun:
    """Run ``command(descriptor)`` in a session of its own for at most ``timeout`` seconds.

    Every process it leaves in its group is killed when it ends.

    Raises:
        TargetError: the program cannot be started.
    """
    if sys.platform == "win32":  # pragma: no cover
        message = "Windows is not supported yet: run the doctor inside WSL, where the training runs as well"
        raise TargetError(message)
    reader, writer = os.pipe()
    arguments = list(command(writer))
    killed = _memory_kills()
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
        os.close(writer)
    with (
        child,
        _killed_on_error(child),
        contextlib.closing(_Listener(child, reader, on_event)) as listener,
    ):
        ending = listener.listen(timeout)
        if ending != "exit":
            _end(child, ask=ending == "timeout", listener=listener)
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
            out_of_memory=_memory_kills() > killed,
        )


@contextlib.contextmanager
def _killed_on_error(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill the child when anything in the doctor raises, ``on_event`` too: ``with child`` would wait for it."""
    try:
        yield
    except BaseException:
        _kill_group(child)
        raise


class _Listener:
    """Reads the three pipes of a child without ever waiting for ever on one."""

    def __init__(
        self, child: "subprocess.Popen[bytes]", reader: int, on_event: Callable[[dict[str, Any]], None]
    ) -> None:
        self.malformed_events = 0
        self._child = child
        self._reader = reader
        self._on_event = on_event
        self._pending = b""
        self._skipping = False
        self._events = 0
        self._tails: dict[int, bytearray] = {}
        self._started = time.monotonic()
        self._selector = selectors.DefaultSelector()
        for pipe in (reader, child.stdout, child.stderr):
            if pipe is not None:
                descriptor = pipe if isinstance(pipe, int) else pipe.fileno()
                os.set_blocking(descriptor, False)
                self._selector.register(descriptor, selectors.EVENT_READ)
                self._tails[descriptor] = bytearray()

    @property
    def seconds(self) -> float:
        """Time since the child was started."""
        return time.monotonic() - self._started

    def listen(self, timeout: float) -> Ending:
        """Read until the child ends, its time is up, it floods, or the user interrupts."""
        try:
            while self._child.poll() is None:
                left = timeout - self.seconds
                if left <= 0:
                    return "timeout"
                self._read(min(left, 0.1))
                if self._events > _MOST_EVENTS:
                    return "flood"
        except KeyboardInterrupt:
            return "interrupted"
        return "exit"

    def drain(self, seconds: float = _GRACE) -> None:
        """Read what is left; a pipe that a stray process still holds open is not waited for."""
        until = time.monotonic() + seconds
        while self._selector.get_map() and time.monotonic() < until:
            if not self._read(0.02) and self._child.poll() is not None:
                break

    def close(self) -> None:
        """Release the pipe of events."""
        self._selector.close()
        os.close(self._reader)

    def tail(self, pipe: Any) -> str:  # noqa: ANN401 - the pipes of Popen have no simple type
        """Return the end of what came through one of the child's own pipes."""
        return bytes(self._tails[pipe.fileno()]).decode("utf-8", "replace").replace("\0", "").strip()

    def _read(self, wait: float) -> int:
        total = 0
        for key, _ in self._selector.select(wait):
            try:
                data = os.read(key.fd, _CHUNK)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(key.fd)
            elif key.fd == self._reader:
                self._take(data)
            else:
                kept = self._tails[key.fd]
                kept += data
                del kept[:-_TAIL]
            total += len(data)
        return total

    def _take(self, data: bytes) -> None:
        self._events += len(data)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            else:
                self._line(line)
        if len(self._pending) > _LONGEST_LINE:
            self.malformed_events += not self._skipping
            self._skipping, self._pending = True, b""

    def _line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            self._on_event(event)
        else:
            self.malformed_events += 1


def _end(child: "subprocess.Popen[bytes]", *, ask: bool, listener: _Listener) -> None:
    # Asked first, the worker says where it hung before it dies.
    if ask:
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


def _memory_kills() -> int:
    """Return how many processes of this control group the kernel has killed for memory so far."""
    for name, folder in _control_groups():
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (folder / name).read_text(encoding="utf-8").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _control_groups() -> list[tuple[str, Path]]:
    found = []
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                found.append(("memory.events", root / path.lstrip("/")))
            elif "memory" in controllers.split(","):
                found.append(("memory.oom_control", root / "memory" / path.lstrip("/")))
                found.append(("memory.oom_control", root / "memory"))
    return found
