"""Read files that others wrote: regular files only, never more than a limit, and never with a wait.

Every other module reads through this one (``tests/core/test_reading.py`` walks the code to see that). A path can lead
to a pipe without a writer, which would wait for good, or to ``/dev/zero``, which never ends.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from vc2doctor.core.errors import DoctorError

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
    try:
        # Without O_NONBLOCK, a pipe without a writer would be waited for already here. Regular files ignore the flag.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise MissingFileError(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the path.
        raise ReadError(path, getattr(error, "strerror", None) or str(error)) from error
    # The opened file is checked, not the path: whoever can write the folder could exchange the file in between.
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise ReadError(path, f"it is {kind}, not a regular file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of the file at ``path``, of at most ``limit`` bytes.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger.
        ReadError: it is no regular file, or the system cannot read it.
    """
    data = read_start(path, limit + 1)
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
            # The reported size is not used: files of /proc report 0, and other files can grow.
            return file.read(size)
        except OSError as error:
            raise ReadError(path, error.strerror or str(error)) from error


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Return the text of the file at ``path``: UTF-8, of at most ``limit`` bytes, without a byte order mark.

    Raises:
        MissingFileError: there is no such file.
        LargeFileError: it is larger.
        ReadError: it is no regular file, the system cannot read it, or it is not UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(path, f"it is not UTF-8 text (byte {error.start})") from error


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
