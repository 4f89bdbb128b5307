"""Writes files so that nobody ever sees half of one."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vc2doctor.core.errors import DoctorError

_STREAMS = ("/dev/", "/proc/")
"""Below these, a regular file is an open stream of this process, such as ``/dev/stdout``; it must not be replaced."""


class OutputError(DoctorError):
    """A file cannot be written."""


def write_output(path: Path, text: str) -> None:
    """Write ``text`` to a file that the user named: a regular file is replaced whole, anything else is written to.

    A symbolic link is followed. Devices, pipes and the streams of this process stay what they are.

    Raises:
        OutputError: it cannot be written, or would have to change its owner.
    """
    try:
        if _is_replaced(path):
            replace(Path(os.path.realpath(path)), text)
        else:
            _append(path, text.encode())
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror or error}"
        raise OutputError(message) from error


def _is_replaced(path: Path) -> bool:
    if os.path.abspath(path).startswith(_STREAMS):  # noqa: PTH100 - links must not be resolved
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _append(path: Path, data: bytes) -> None:
    # O_APPEND: `--output /dev/stdout >> log` keeps what the log holds already.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def replace(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: all of it, or the file stays as it was.

    Raises:
        OutputError: the file cannot be written.
    """
    replace_all({path: text.encode()})


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files: each is prepared beside its place, and only when all are, they are moved.

    Raises:
        OutputError: a file cannot be written, or would have to change its owner.
    """
    prepared: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in contents.items():
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")
            prepared.append((Path(name), path))
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                _keep_owner_and_mode(file.fileno(), path)
        for new, path in prepared:
            new.replace(path)
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror or error}"
        raise OutputError(message) from error
    finally:
        for new, _ in prepared:
            new.unlink(missing_ok=True)


def _keep_owner_and_mode(descriptor: int, path: Path) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o666 & ~_umask())
        return
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(descriptor, before.st_uid, before.st_gid)
        except PermissionError:
            message = (
                f"{path}: belongs to another user or group, and replacing it would change that; choose another name"
            )
            raise OutputError(message) from None
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
