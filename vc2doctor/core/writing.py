"""Write files so that a reader sees the old file or the complete new one, never a part."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path

from vc2doctor.core import reading
from vc2doctor.core.errors import DoctorError

_STREAM_FOLDERS = ("/dev/", "/proc/")
"""A regular file below these may be an open stream of this process (``/dev/stdout`` redirected to a log). Replacing it
would throw away what the stream holds."""
_MAX_PREFIX_CHARACTERS = 100
"""Part of the file's name in the name of its temporary file. Names are limited to 255 bytes on Linux and macOS."""


class OutputError(DoctorError):
    """A file cannot be written."""


def write_output(path: Path, content: str | bytes) -> None:
    """Write ``content`` to the file at ``path``, which the user chose.

    A regular file is replaced as a whole, and a symbolic link is followed. Devices, pipes and the streams of this
    process are written to and stay what they are.

    Raises:
        OutputError: the file cannot be written, replacing it would change its owner, or it is a pipe without a reader.
    """
    write_outputs([(path, content)])


def write_outputs(outputs: Iterable[tuple[Path, str | bytes]]) -> None:
    """Write several contents to the files that the user chose, as ``write_output`` does.

    The regular files are all replaced or none is. They come first, because what a stream got cannot be taken back.

    Raises:
        OutputError: a file cannot be written; no regular file was.
    """
    # JSON and text are printable already; a lone surrogate in the text of another kind must not end in a traceback.
    encoded = [
        (path, content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
        for path, content in outputs
    ]
    path = Path()
    try:
        replaced: dict[Path, bytes] = {}
        streams: list[tuple[Path, bytes]] = []
        for path, data in encoded:
            if _can_be_replaced(path):
                replaced[Path(os.path.realpath(path))] = data
            else:
                streams.append((path, data))
        replace_all(replaced)
        for path, data in streams:
            _append(path, data)
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the path.
        raise _cannot_write(path, error) from error


def append_output(path: Path, text: str) -> None:
    """Add ``text`` to the end of the file at ``path``. If it does not fit, the file stays as it was.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        if _can_be_replaced(path):
            # The file must exist for _append; another program may have the same idea in this moment.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))
        _append(path, text.encode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error


def check_output(path: Path) -> None:
    """Check, before the work begins, that ``write_output`` will be able to write to ``path``. Nothing stays written.

    A full disk is found out only when the report is written.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        if not _can_be_replaced(path):
            _check_stream(path)
            return
        target = Path(os.path.realpath(path))
        with tempfile.TemporaryFile(dir=target.parent, prefix=f".{target.name[:_MAX_PREFIX_CHARACTERS]}-") as file:
            _keep_owner_and_mode(file.fileno(), target)
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error


def _check_stream(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    # To open a pipe or a device only to look would be noticed at its other end.
    if stat.S_ISSOCK(mode):
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def is_standard_output(path: Path) -> bool:
    """Return whether ``path`` is the file or stream that the standard output of this process goes to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except (OSError, ValueError):
        return False


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
    size = os.fstat(descriptor).st_size
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        try:
            _write_all(file, data)
        except OSError:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                # Half a report is worse than none.
                os.ftruncate(descriptor, size)
            raise


def _write_all(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def replace_all(contents: Mapping[Path, bytes], expected: Mapping[Path, bytes] | None = None) -> None:
    """Replace several files: write all of them to temporary files first, then move each into its place.

    ``expected`` are the old contents of files: one that holds something else by now is not overwritten.

    Raises:
        OutputError: a file cannot be written, replacing it would change its owner, or it is not as expected.
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
        for path, data in (expected or {}).items():
            # As late as possible: an editor may have saved the file while it was being fixed.
            if reading.read_start(path, len(data) + 1) != data:
                message = (
                    f"{path}: another program has changed it since it was read, so no file was written. Try again."
                )
                raise OutputError(message)
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
