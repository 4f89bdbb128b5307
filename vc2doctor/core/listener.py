"""Reads the pipes of a child and of its supervisor: events, output, and how the child ended."""

import contextlib
import errno
import json
import os
import selectors
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from vc2doctor.core.supervisor import EXIT, TIMEOUT

TAIL_BYTES = 16 * 1024
"""How much of the end of stdout and of stderr is kept: enough for a traceback, small enough for a report."""
MAX_LINE_BYTES = 1024 * 1024
"""A longer event line is dropped, so that a child without newlines cannot fill the doctor's memory."""
MAX_EVENT_BYTES = 4 * 1024 * 1024
"""A child that writes more than this is stopped, because it may never end."""
GRACE_SECONDS = 1.0
"""How long the pipes are read after everything has ended: a process that could not be killed may hold them open."""
MAX_WAIT_SECONDS = 60.0
"""The longest single wait: ``epoll`` refuses large numbers."""
CHUNK_BYTES = 65536
"""One read: the capacity of a pipe on Linux (``man 7 pipe``)."""
MAX_STATUS_BYTES = 4096
"""Of what the supervisor writes; it needs less than 100."""
SECRET_KEY = "secret"  # noqa: S105 - a key
"""The key of an event under which the child repeats the secret of the run."""

Ending = Literal["exit", "signal", "timeout", "flood", "interrupted"]
OnEvent = Callable[[dict[str, Any]], None]


class Sources(NamedTuple):
    """The descriptors to read."""

    events: int
    output: int
    errors: int
    status: int


class Status:
    """What the supervisor has reported so far; see ``core/supervisor.py``."""

    def __init__(self) -> None:
        self.failed: int | None = None
        """The error number, if the program could not be started."""
        self.pid: int | None = None
        """The process id of the child."""
        self.reason: str | None = None
        """Why it ended; ``None``: nothing was reported."""
        self.code: int | None = None
        """Its exit code, or minus the number of the signal that killed it; ``None``: unknown."""
        self._text = b""

    def take(self, data: bytes) -> None:
        """Read a part of the supervisor's lines."""
        *lines, self._text = (self._text + data)[:MAX_STATUS_BYTES].split(b"\n")
        for line in lines:
            # A hostile worker can find the supervisor's pipe below /proc and write anything to it.
            with contextlib.suppress(ValueError, IndexError):
                self._take_line(line.decode("ascii").split())

    def _take_line(self, words: list[str]) -> None:
        if words[0] == "failed":
            self.failed = int(words[1])
        elif words[0] == "started" and self.pid is None:
            # Only the first line is surely the supervisor's: the worker did not run before it.
            self.pid = int(words[1])
        elif words[0] == "ended":
            self.code = None if words[2] == "-" else int(words[2])
            self.reason = words[1]

    @property
    def ending(self) -> Ending:
        """How the child ended. A supervisor that reported nothing was killed, and the child with it."""
        if self.reason == TIMEOUT:
            return "timeout"
        return "exit" if self.reason == EXIT and self.code is not None and self.code >= 0 else "signal"


class Listener:
    """Reads the pipes of a child and never blocks on one of them."""

    def __init__(self, sources: Sources, secret: str, on_event: OnEvent) -> None:
        self.malformed_events = 0
        self.status = Status()
        self._sources = sources
        self._secret, self._secret_bytes = secret, secret.encode()
        self._on_event = on_event
        self._unfinished_line = b""
        self._is_skipping_line = False
        self._event_bytes = 0
        self._tails = {sources.output: bytearray(), sources.errors: bytearray()}
        self._start_time = time.monotonic()
        self._selector = selectors.DefaultSelector()
        for descriptor in sources:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)

    @property
    def seconds(self) -> float:
        """Seconds since the child was started."""
        return time.monotonic() - self._start_time

    @property
    def is_over(self) -> bool:
        """Whether the supervisor has reported the end, or has ended itself."""
        return self.status.reason is not None or self._sources.status not in self._selector.get_map()

    def listen(self, timeout: float) -> Ending:
        """Read until the child ends, ``timeout`` seconds have passed, it floods the pipe, or the user interrupts."""
        try:
            while not self.is_over:
                remaining = timeout - self.seconds
                if remaining <= 0:
                    return "timeout"
                self._read(remaining)
                if self._event_bytes > MAX_EVENT_BYTES:
                    return "flood"
        except KeyboardInterrupt:
            return "interrupted"
        return self.status.ending

    def drain(self, seconds: float) -> None:
        """Read until everything has ended, for at most ``seconds``; then the rest of the output.

        Another Ctrl-C ends the reading: what was asked for is under way already.
        """
        with contextlib.suppress(KeyboardInterrupt):
            self._read_until(lambda: self.is_over, seconds)
            self._read_until(lambda: False, GRACE_SECONDS)

    def close(self) -> None:
        """Stop reading. The descriptors are the caller's."""
        self._selector.close()

    @property
    def output(self) -> str:
        """The end of what the child wrote to its stdout."""
        return self._tail(self._sources.output)

    @property
    def errors(self) -> str:
        """The end of what the child wrote to its stderr."""
        return self._tail(self._sources.errors)

    def _tail(self, descriptor: int) -> str:
        return bytes(self._tails[descriptor]).decode("utf-8", "replace").replace("\0", "").strip()

    def _read_until(self, is_enough: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._selector.get_map() and not is_enough():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            self._read(remaining)

    def _read(self, wait: float) -> None:
        """Wait at most ``wait`` seconds for data and take it in."""
        for key, _ in self._selector.select(min(wait, MAX_WAIT_SECONDS)):
            try:
                data = os.read(key.fd, CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(key.fd)
            elif key.fd == self._sources.status:
                self.status.take(data)
            elif key.fd == self._sources.events:
                self._take_events(data)
            else:
                tail = self._tails[key.fd]
                tail += data
                del tail[:-TAIL_BYTES]

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
        event = None
        # Most of a flood is no event, and parsing is slow.
        if self._secret_bytes in line:
            with contextlib.suppress(ValueError, RecursionError):
                event = json.loads(line)
        if isinstance(event, dict) and event.pop(SECRET_KEY, None) == self._secret:
            self._on_event(event)
        else:
            self.malformed_events += 1


def text_of(number: int) -> str:
    """Return the system's words for an error number."""
    return os.strerror(number) if number in errno.errorcode else f"error {number}"
