"""Writes files so that nobody ever sees half of one."""

import os
import tempfile
from pathlib import Path

from vc2doctor.errors import DoctorError


class OutputError(DoctorError):
    """A file cannot be written."""


def replace(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: all of it, or the file stays as it was.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror or error}"
        raise OutputError(message) from error
