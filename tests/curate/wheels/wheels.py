"""Small wheels, written to a temporary folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from vc2doctor.curate.wheels.read import Reader


def wheel(folder: Path, package: str, files: Mapping[str, str]) -> Reader:
    """Return a reader of a wheel with these files."""
    path = folder / f"{package}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return Reader(path, package)
