"""Read a package index through its JSON API (PEP 691). No other module opens a connection."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError

_DEFAULT_INDEX = "https://pypi.org/simple/"
_ACCEPT = "application/vnd.pypi.simple.v1+json"
_TIMEOUT = 60.0
"""Seconds for one connection."""


class ReleasesError(DoctorError):
    """The package index, or a file on it, cannot be read."""


class Wheel(Data):
    """One released wheel."""

    name: str
    version: str
    url: str
    uploaded: str
    """``2026-11-24``; empty: the index does not give the date."""
    requires_python: str | None
    tags: tuple[str, ...]
    """Such as ``cp311-cp311-manylinux_2_17_x86_64``."""
    yanked: bool


def wheels(name: str) -> list[Wheel]:
    """Return the wheels of the final releases of ``name``, the oldest version first.

    Raises:
        ReleasesError: the index cannot be reached, or does not know the name.
    """
    base = os.environ.get("PIP_INDEX_URL", _DEFAULT_INDEX).rstrip("/")
    request = urllib.request.Request(f"{base}/{name}/", headers={"Accept": _ACCEPT})  # noqa: S310 - the user's index
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            page = json.load(response)
    except (OSError, ValueError) as error:
        message = f"{name}: the package index cannot be read; check the network and PIP_INDEX_URL: {error}"
        raise ReleasesError(message) from error
    final = [wheel for file in page["files"] if (wheel := _wheel(name, file)) is not None]
    return sorted(final, key=lambda wheel: Version(wheel.version))


def _wheel(name: str, file: dict[str, Any]) -> Wheel | None:
    """Return an entry of the index as a wheel; ``None``: it is another kind of file, or a pre-release."""
    try:
        _, version, _, tags = parse_wheel_filename(file["filename"])
    except InvalidWheelFilename:
        return None
    if version.is_prerelease:
        return None
    return Wheel(
        name=name,
        version=str(version),
        url=file["url"],
        uploaded=(file.get("upload-time") or "")[:10],
        requires_python=file.get("requires-python"),
        tags=tuple(sorted(map(str, tags))),
        yanked=bool(file.get("yanked")),
    )


def download(wheel: Wheel, folder: Path) -> Path:
    """Return the path of the wheel in ``folder``; download it unless it is there already.

    Raises:
        ReleasesError: the file cannot be downloaded.
    """
    path = folder / wheel.url.rpartition("/")[2]
    if not path.exists():
        # An interrupted download must not look like a wheel.
        partial = path.with_suffix(".part")
        partial.write_bytes(_fetch(wheel.url))
        partial.replace(path)
    return path


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - the index gave it
            return bytes(response.read())
    except OSError as error:
        message = f"{url}: cannot be downloaded: {error}"
        raise ReleasesError(message) from error
