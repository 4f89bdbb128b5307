"""Temporary folders that are removed in every case: by the doctor, by a janitor process, or by the next run."""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vc2doctor.core import janitor
from vc2doctor.core.errors import DoctorError

PREFIX = "vc2doctor-"
LOCK = ".vc2doctor-lock"
"""A file in the folder. The doctor that made the folder holds a lock on it (``man 2 flock``), which the kernel releases
when this process ends. A folder without this file is none of ours."""
_END_SECONDS = 10.0
"""How long the end of the janitor is awaited."""


class ScratchError(DoctorError):
    """A temporary folder cannot be made, or cannot be written to."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder that only this user can read, and remove it afterwards.

    A janitor removes it if the doctor is killed. Folders of this user that an earlier run left are removed first: it
    and its janitor were killed together.

    Raises:
        ScratchError: no temporary folder can be made.
    """
    try:
        root = _root()
        remove_abandoned(root)
        # The janitor knows the name before there is a folder, so that no moment is without it.
        path = root / f"{PREFIX}{os.urandom(8).hex()}"
        with _janitor_of(path), _made(path):
            yield path
    except _NoFolderError as error:
        message = f"no temporary folder can be made: {error}. Set TMPDIR to a folder that you can write to."
        raise ScratchError(message) from error


def write(path: Path, content: str | bytes) -> None:
    """Write a file into a scratch folder, and make the folders between.

    Raises:
        ScratchError: the disk is full, or another limit holds.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}. Set TMPDIR to a folder with free space."
        raise ScratchError(message) from error


class _NoFolderError(Exception):
    """The reason why there is no temporary folder."""


def _root() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise _NoFolderError(error.strerror) from error


@contextlib.contextmanager
def _janitor_of(path: Path) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", "-B", os.path.abspath(janitor.__file__), str(path)]  # noqa: PTH100
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    except OSError:
        # Without a janitor there is still the next run.
        yield
        return
    try:
        yield
        if not os.path.lexists(path):
            process.kill()
    finally:
        # After an exception, such as a second Ctrl-C, the janitor finishes what the doctor began: a child that is about
        # to end may still write.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_END_SECONDS)


@contextlib.contextmanager
def _made(path: Path) -> Iterator[None]:
    lock = -1
    try:
        try:
            path.mkdir(mode=0o700)
            lock = _locked(path)
        except OSError as error:
            reason = f"{path}: {error.strerror}"
            raise _NoFolderError(reason) from error
        yield
    finally:
        janitor.remove(str(path))
        if lock >= 0:
            os.close(lock)


def _locked(path: Path) -> int:
    """Put a locked file into the folder ``path`` and return its descriptor.

    It gets its name after it is locked: another run must not see it unlocked.
    """
    unnamed = path / f"{LOCK}.new"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    # A file system without locks: the janitor has to be enough.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path / LOCK)
    return descriptor


def remove_abandoned(root: Path) -> None:
    """Remove the scratch folders of this user in ``root`` whose lock is free; links are not followed."""
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_own_folder(entry):
                _remove_if_abandoned(entry.path)


def _is_own_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False


def _remove_if_abandoned(path: str) -> None:
    try:
        # A FIFO in the place of the file must not block.
        lock = os.open(f"{path}/{LOCK}", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if stat.S_ISREG(os.fstat(lock).st_mode):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            janitor.remove(path)
    except OSError:
        # The doctor that made it still runs.
        pass
    finally:
        os.close(lock)
