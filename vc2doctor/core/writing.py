"""Write files so that a reader sees the old file or the complete new one, never a part."""

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vc2doctor.core.errors import DoctorError

_STREAM_FOLDERS = ("/dev/", "/proc/")
"""A regular file below these may be an open stream of this process (``/dev/stdout`` redirected to a log). Replacing it
would throw away what the stream holds."""
_MAX_PREFIX_CHARACTERS = 100
"""Part of the file's name in the name of its temporary file. Names are limited to 255 bytes on Linux and macOS."""


class OutputError(DoctorError):
    """A file cannot be written."""


def write_output(path: Path, text: str) -> None:
    """Write ``text`` to the file at ``path``, which the user chose.

    A regular file is replaced as a whole, and a symbolic link is followed. Devices, pipes and the streams of this
    process are written to and stay what they are.

    Raises:
        OutputError: the file cannot be written, replacing it would change its owner, or it is a pipe without a reader.
    """
    # JSON and text are printable already; a lone surrogate in the text of another kind must not end in a traceback.
    data = text.encode("utf-8", "replace")
    try:
        if _can_be_replaced(path):
            replace_all({Path(os.path.realpath(path)): data})
        else:
            _append(path, data)
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the path.
        raise _cannot_write(path, error) from error


def _can_be_replaced(path: Path) -> bool:
    if os.path.abspath(path).startswith(_STREAM_FOLDERS):  # noqa: PTH100 - links must not be resolved
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _append(path: Path, data: bytes) -> None:
    # O_APPEND keeps the content of the log in `vc2doctor check --output /dev/stdout >> log`. Without O_NONBLOCK, a pipe
    # that no program reads would be waited for.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(path.stat().st_mode):
            message = f"{path}: cannot be written: it is a pipe that no program reads"
            raise OutputError(message) from error
        raise
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Replace several files: write all of them to temporary files first, then move each into its place.

    Raises:
        OutputError: a file cannot be written, or replacing it would change its owner.
    """
    prepared: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in contents.items():
            prefix = f".{path.name[:_MAX_PREFIX_CHARACTERS]}-"
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
            prepared.append((Path(name), path))
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                _keep_owner_and_mode(file.fileno(), path)
        for temporary, path in prepared:
            temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        for temporary, _ in prepared:
            temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError | ValueError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}")


def _keep_owner_and_mode(descriptor: int, path: Path) -> None:
    """Give the temporary file the owner and mode of the file that it replaces, or those of a new file."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o666 & ~_umask())
        return
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            message = (
                f"{path}: the file belongs to another user or group, and replacing it would change its owner."
                " Choose another name."
            )
            raise OutputError(message) from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _umask() -> int:
    # Python cannot read the umask without setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
