"""A folder of the user's own with small files by name: written as a whole, bounded, and read only if it can be trusted.

Nothing here is an error for the caller. What cannot be read or trusted is not there, and what cannot be written is not
kept: the caller then does the work again.

A file is trusted if it is a regular file without a second name, if it and its folder belong to this user, and if no
other user may write to either. Both are opened once and checked by their descriptors, so they cannot be exchanged in
between.
"""

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A report on an examination has about 120 kB."""
MAX_FILES = 64
MAX_BYTES = 32 * 1024 * 1024
MAX_AGE_SECONDS = 24 * 3600.0
"""A machine changes in ways that no file shows: a cable, a driver that hangs, a full disk."""
_CLOCK_SECONDS = 2.0
"""How far in the future the time of a file may lie: clocks of file servers differ a little."""
_ABANDONED_SECONDS = 600.0
"""A temporary file that is older belongs to a process that was killed."""
_TEMPORARY = ".new-"
_HEAD = b"vc2doctor answer 1 "
"""Begins each file; the digest of the rest follows. A file that was cut off or changed does not fit its digest."""
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Stored(NamedTuple):
    """A file of the store."""

    content: bytes
    seconds: float
    """When it was written, as ``time.time()`` counts."""


class _Entry(NamedTuple):
    name: str
    size: int
    seconds: float


def user_folder(variables: Mapping[str, str]) -> Path | None:
    """Return the folder for the doctor's caches of this user; ``None``: there is none.

    It is that of the XDG Base Directory Specification, which says that a relative path does not count:
    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    named, home = variables.get("XDG_CACHE_HOME", ""), variables.get("HOME", "")
    if os.path.isabs(named):  # noqa: PTH117 - it can be empty
        return Path(named) / "vc2doctor"
    return Path(home) / ".cache" / "vc2doctor" if os.path.isabs(home) else None  # noqa: PTH117


class Store:
    """The files of one folder. ``None`` as the folder: nothing is there, and nothing is kept."""

    def __init__(self, folder: Path | None, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now

    def read(self, name: str) -> Stored | None:
        """Return the file ``name``; ``None``: it is not there, is too old, or cannot be trusted: then it is removed."""
        with self._opened() as folder:
            if folder is None:
                return None
            stored = self._read(name, folder)
            if stored is None:
                _remove(name, folder)
            return stored

    def write(self, name: str, content: bytes) -> None:
        """Keep ``content`` as the file ``name``, and remove the oldest files if there are too many."""
        data = b"".join((_HEAD, _digest(content), b"\n", content))
        if len(data) > MAX_FILE_BYTES:
            return
        with self._opened(create=True) as folder:
            if folder is not None:
                with contextlib.suppress(OSError):
                    _write(name, data, folder)
                with contextlib.suppress(OSError):
                    self._prune(folder)

    def remove(self, name: str) -> None:
        """Remove the file ``name``, if it is there."""
        with self._opened() as folder:
            if folder is not None:
                _remove(name, folder)

    @contextlib.contextmanager
    def _opened(self, *, create: bool = False) -> Iterator[int | None]:
        """Open the folder; ``None``: it is not there, or it cannot be trusted."""
        descriptor = None
        with contextlib.suppress(OSError):
            if self._folder is not None:
                if create:
                    self._folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
                descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor if descriptor is not None and is_own(os.fstat(descriptor)) else None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _read(self, name: str, folder: int) -> Stored | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError:
            return None
        status = os.fstat(descriptor)
        # A file that another process replaced in this moment has no name any more, and is as good as it was.
        is_file = stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size <= MAX_FILE_BYTES
        if not (is_file and is_own(status) and self._is_recent(status.st_mtime)):
            os.close(descriptor)
            return None
        with os.fdopen(descriptor, "rb") as file, contextlib.suppress(OSError):
            content = _checked(file.read(MAX_FILE_BYTES + 1))
            return Stored(content, status.st_mtime) if content is not None else None
        return None

    def _is_recent(self, seconds: float) -> bool:
        return -_CLOCK_SECONDS <= self._now() - seconds <= MAX_AGE_SECONDS

    def _prune(self, folder: int) -> None:
        """Remove what is too old, and the oldest files beyond the bounds."""
        kept = size = 0
        for entry in sorted(_entries(folder), key=lambda entry: -entry.seconds):
            age = self._now() - entry.seconds
            if entry.name.startswith(_TEMPORARY):
                if age > _ABANDONED_SECONDS:
                    _remove(entry.name, folder)
                continue
            kept, size = kept + 1, size + entry.size
            if age > MAX_AGE_SECONDS or kept > MAX_FILES or size > MAX_BYTES:
                _remove(entry.name, folder)


def _entries(folder: int) -> list[_Entry]:
    entries = []
    for name in os.listdir(folder):
        # Another process may remove it in this moment.
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            entries.append(_Entry(name, status.st_size, status.st_mtime))
    return entries


def is_own(status: os.stat_result) -> bool:
    """Return whether a file or folder belongs to this user, and no other user may write to it."""
    return status.st_uid == os.geteuid() and not status.st_mode & _WRITABLE_BY_OTHERS


def _checked(data: bytes) -> bytes | None:
    head, _, content = data.partition(b"\n")
    return content if head == _HEAD + _digest(content) else None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _write(name: str, data: bytes, folder: int) -> None:
    temporary = f"{_TEMPORARY}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, stat.S_IRUSR | stat.S_IWUSR, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _remove(temporary, folder)
        raise


def _remove(name: str, folder: int) -> None:
    """Remove a file, a link, or an empty folder in the place of a file."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=folder)
