"""Read files that others wrote: regular files only, never more than a limit, and never with a wait.

``read_text_or_pipe`` is the exception: it waits for a program that the user named, until a limit of time.

Every other module reads through this one (``tests/core/test_reading.py`` walks the code to see that). A path can lead
to a pipe without a writer, which would wait for good, or to ``/dev/zero``, which never ends.
"""

import os
import select
import stat
import time
from pathlib import Path
from typing import BinaryIO

from vc2doctor.core.errors import DoctorError
from vc2doctor.core.limits import PIPE_SECONDS

MAX_BYTES = 64 * 1024 * 1024
"""The limit for files without one of their own. The largest file of the shipped matrix has less than 2 MiB."""
_MIB = 1024 * 1024
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class ReadError(DoctorError):
    """A file cannot be read. The message is ``PATH: cannot be read: REASON``."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{path}: cannot be read: {reason}")


class MissingFileError(ReadError):
    """There is no such file."""


class LargeFileError(ReadError):
    """The file is larger than the limit."""


def open_regular(path: str | Path) -> BinaryIO:
    """Return the regular file at ``path``, opened for reading; links are followed.

    Raises:
        MissingFileError: there is no such file.
        ReadError: it is no regular file, or the system refuses to open it.
    """
    descriptor = _open(path)
    # The opened file is checked, not the path: whoever can write the folder could exchange the file in between.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise ReadError(path, f"it is {kind}, not a regular file")
    return os.fdopen(descriptor, "rb")


def _open(path: str | Path) -> int:
    try:
        # Without O_NONBLOCK, a pipe without a writer would be waited for already here. Regular files ignore the flag.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise MissingFileError(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the path.
        raise ReadError(path, getattr(error, "strerror", None) or str(error)) from error


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of the file at ``path``, of at most ``limit`` bytes.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger.
        ReadError: it is no regular file, or the system cannot read it.
    """
    return _checked_size(path, read_start(path, limit + 1), limit)


def _checked_size(path: str | Path, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        size = f"{limit // _MIB} MiB" if limit >= _MIB else f"{limit // 1024} KiB"
        raise LargeFileError(path, f"it is larger than {size}")
    return data


def read_start(path: str | Path, size: int) -> bytes:
    """Return the first ``size`` bytes of the file at ``path``, or all of it if it is shorter.

    Raises:
        MissingFileError: there is no such file.
        ReadError: it is no regular file, or the system cannot read it.
    """
    with open_regular(path) as file:
        try:
            # Python makes room for all that it is asked to read, and 64 MiB take longer than most files. The reported
            # size is only a guess: files of /proc report 0, and other files can grow.
            expected = os.fstat(file.fileno()).st_size
            data = file.read(min(size, expected + 1))
            return data if len(data) <= expected else data + file.read(size - len(data))
        except OSError as error:
            raise ReadError(path, error.strerror or str(error)) from error


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Return the text of the file at ``path``: UTF-8, of at most ``limit`` bytes, without a byte order mark.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger.
        ReadError: it is no regular file, the system cannot read it, or it is not UTF-8.
    """
    return _decoded(path, read_bytes(path, limit))


def _decoded(path: str | Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(path, f"it is not UTF-8 text (byte {error.start})") from error


def read_text_or_pipe(path: str | Path, limit: int = MAX_BYTES, seconds: float = PIPE_SECONDS) -> str:
    """Return the text of a file that the user named, like ``read_text``, or what a pipe holds until its end.

    A shell passes the output of a command as a pipe: ``--batch <(command)``. It must end within ``seconds``. A path
    that was found, and not named by the user, must not be read this way: it would be waited for.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger than ``limit`` bytes.
        ReadError: it is neither a regular file nor a pipe, the system cannot read it, the pipe does not end in time,
            or the text is not UTF-8.
    """
    descriptor = _open(path)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return read_text(path, limit)
        data = _read_pipe(descriptor, limit + 1, time.monotonic() + seconds)
    except TimeoutError as error:
        raise ReadError(path, f"it is a pipe, and no program ended it within {seconds:.0f} s") from error
    except OSError as error:
        raise ReadError(path, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)
    return _decoded(path, _checked_size(path, data, limit))


def _read_pipe(descriptor: int, size: int, deadline: float) -> bytes:
    """Return the first ``size`` bytes of a pipe, or all of it if it is shorter.

    Raises:
        TimeoutError: the deadline passed before its end.
    """
    # Without a wait for it, a pipe that no program has opened yet looks as if it had ended.
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    data = bytearray()
    while len(data) < size:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(descriptor, min(size - len(data), _MIB))
        if not part:
            break
        data += part
    return bytes(data)


def read_text_leniently(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Return the text of the file at ``path``; bytes that are not UTF-8 are replaced.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger.
        ReadError: it is no regular file, or the system cannot read it.
    """
    return read_bytes(path, limit).decode("utf-8", "replace")


def text_or_empty(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Return the text of a file that does not have to exist; empty if it cannot be read."""
    try:
        return read_text_leniently(path, limit)
    except ReadError:
        return ""
