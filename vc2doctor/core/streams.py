"""Make the standard streams ones that can always be written to.

They can be closed (``2>&-``), full (``>/dev/full``), or a pipe without a reader (``| head -1``). None of them
is a fault of what the doctor examines, so none of them may change its verdict or end in a traceback. What cannot be
written is dropped and remembered; ``failure`` returns it.
"""

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

_STANDARD_DESCRIPTORS = (0, 1, 2)
_STDOUT, _STDERR = 1, 2
_opened: list[int] = []
"""The standard descriptors that were closed when the process began."""


class _StandardFile(io.FileIO):
    """The file of a standard stream. Its first failure is kept, and what is written after it is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Write data and return how many bytes were written, or dropped."""
        while self.failure is None:
            try:
                written: int | None = super().write(data)
            except OSError as error:
                self.failure = error
                break
            if written is not None:
                return written
            # The stream is a pipe that another program made non-blocking, and it is full at the moment.
            select.select([], [self.fileno()], [])
        return len(memoryview(data).cast("B"))


def prepare() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that never raise. A program's own streams stay."""
    _open_missing_descriptors()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(_STDOUT, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(_STDERR, sys.stderr)


def opened() -> tuple[int, ...]:
    """Return the standard descriptors that ``prepare`` opened, because they were closed."""
    return tuple(_opened)


def failure(stream: TextIO) -> str | None:
    """Return why a prepared stream could not be written; ``None``: it could, or its reader has closed the pipe."""
    stream.flush()
    file = getattr(getattr(stream, "buffer", None), "raw", None)
    error = file.failure if isinstance(file, _StandardFile) else None
    return None if error is None or error.errno == errno.EPIPE else error.strerror


def _open_missing_descriptors() -> None:
    """Open ``/dev/null`` in the place of each closed standard stream.

    Otherwise the next file that is opened gets the number of that stream, and is written to by mistake.
    """
    for descriptor in _STANDARD_DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:  # noqa: PERF203 - three times
            # The system gives the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - positional only
            _opened.append(descriptor)


def _stream(descriptor: int, old: TextIO | None) -> TextIO:
    file = _StandardFile(descriptor)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=old.encoding if old is not None else "utf-8",
        # A terminal that lacks a character shows a question mark.
        errors="replace",
        line_buffering=descriptor == _STDERR or file.isatty(),
    )
