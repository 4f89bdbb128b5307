"""One of several equal processes on a machine does the work, and the others get its result.

The ranks of a distributed launch start the same command on every node. They take a lock (``man 2 flock``) in turn. The
first one works and leaves its result in a file; the others find it there. The kernel releases the lock of a process
that is killed, so the next one works instead.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vc2doctor.core import parsing, reading, writing

MAX_AGE_SECONDS = 3600.0
"""A result that is older is of an earlier launch."""
_REMOVED_AFTER_SECONDS = 24 * 3600.0
_MAX_BYTES = 1024 * 1024
_RUNTIME_FOLDER = "XDG_RUNTIME_DIR"


class Turn:
    """The moment in which this process holds the lock. Without a folder that can be trusted, there is no lock."""

    def __init__(self, file: Path | None, member: str) -> None:
        self._file = file
        self._member = member

    def result(self) -> Mapping[str, Any] | None:
        """Return the result that another process left for this one; ``None``: this one has to work.

        Each member gets a result once. If it asks again, that is a new launch with the same name.
        """
        if self._file is None:
            return None
        try:
            stored = parsing.parse_json(reading.read_bytes(self._file, _MAX_BYTES))
            members, result = list(stored["members"]), dict(stored["result"])
            age = time.time() - float(stored["time"])
        except (reading.ReadError, parsing.MalformedError, KeyError, TypeError, ValueError):
            return None
        if self._member in members or not 0 <= age <= MAX_AGE_SECONDS:
            return None
        self._store({**stored, "members": [*members, self._member]})
        return result

    def leave(self, result: Mapping[str, Any]) -> None:
        """Leave the result of this process for the others."""
        self._store({"members": [self._member], "time": time.time(), "result": dict(result)})

    def _store(self, content: Mapping[str, Any]) -> None:
        # Without a result the others work for themselves.
        if self._file is not None:
            with contextlib.suppress(writing.OutputError):
                writing.replace_all({self._file: json.dumps(content).encode()})


@contextlib.contextmanager
def turn(launch: Sequence[str], member: str) -> Iterator[Turn]:
    """Wait until this process holds the lock of a launch. ``launch`` names it, ``member`` is the name of this process.

    The wait ends when another process ends its turn, or ends at all. A signal handler that raises ends it, too.
    """
    folder = _private_folder()
    if folder is None:
        yield Turn(None, member)
        return
    _remove_old(folder)
    text = "\0".join((os.uname().nodename, *launch))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    descriptor = _locked(folder / f"{name}.lock")
    try:
        yield Turn(folder / f"{name}.result" if descriptor is not None else None, member)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _private_folder() -> Path | None:
    """Return a folder of this machine that only this user can write to; ``None``: there is none that can be trusted."""
    for root in filter(None, (os.environ.get(_RUNTIME_FOLDER), _temporary_folder())):
        path = Path(root) / f"vc2doctor-gate-{os.geteuid()}"
        with contextlib.suppress(OSError):
            path.mkdir(mode=stat.S_IRWXU, exist_ok=True)
            status = path.lstat()
            # Somebody else could have made the folder before, or put a link there.
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                return path
    return None


def _temporary_folder() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock of ``path``; ``None``: the file system has no locks."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have removed the file as an old one before it was locked here.
            if _is_same_file(descriptor, path):
                os.utime(descriptor)
                return descriptor
        except OSError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _remove_old(folder: Path) -> None:
    """Remove the files of launches that ended long ago."""
    oldest = time.time() - _REMOVED_AFTER_SECONDS
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.lstat().st_mtime < oldest and _is_free(path):
                path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
