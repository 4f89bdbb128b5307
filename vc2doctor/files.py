"""Writes files so that nobody ever sees half of one."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vc2doctor.errors import DoctorError


class OutputError(DoctorError):
    """A file cannot be written."""


def replace(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: all of it, or the file stays as it was.

    Raises:
        OutputError: the file cannot be written.
    """
    replace_all({path: text.encode()})


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files: each is prepared beside its place, and only when all are, they are moved.

    Raises:
        OutputError: a file cannot be written.
    """
    prepared: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in contents.items():
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
            prepared.append((Path(name), path))
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        for new, path in prepared:
            new.replace(path)
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror or error}"
        raise OutputError(message) from error
    finally:
        for new, _ in prepared:
            new.unlink(missing_ok=True)
