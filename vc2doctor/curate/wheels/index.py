"""A package index by its JSON API (PEP 691): releases, their dates, their wheels. Only ever used when asked."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError

_DEFAULT = "https://pypi.org/simple/"
_ACCEPT = "application/vnd.pypi.simple.v1+json"
_TIMEOUT = 60.0


class ReleasesError(DoctorError):
    """The package index cannot be read."""


class Wheel(Data):
    """One released wheel."""

    name: str
    version: str
    url: str
    uploaded: str
    """``2026-11-24``; empty where the index does not say."""
    requires_python: str | None
    tags: tuple[str, ...]
    """``cp311-cp311-manylinux_2_17_x86_64``."""
    yanked: bool


def wheels(name: str) -> list[Wheel]:
    """Return the final releases of ``name`` as wheels, oldest version first.

    Raises:
        ReleasesError: the index cannot be reached, or does not know the name.
    """
    base = os.environ.get("PIP_INDEX_URL", _DEFAULT).rstrip("/")
    request = urllib.request.Request(f"{base}/{name}/", headers={"Accept": _ACCEPT})  # noqa: S310 - the user's index
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            listed = json.load(answer)
    except (OSError, ValueError) as error:
        message = f"{name}: the package index cannot be read: {error}"
        raise ReleasesError(message) from error
    found = []
    for file in listed["files"]:
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
        except InvalidWheelFilename:
            continue
        if not version.is_prerelease:
            found.append(
                Wheel(
                    name=name,
                    version=str(version),
                    url=file["url"],
                    uploaded=(file.get("upload-time") or "")[:10],
                    requires_python=file.get("requires-python"),
                    tags=tuple(sorted(map(str, tags))),
                    yanked=bool(file.get("yanked")),
                )
            )
    return sorted(found, key=lambda wheel: Version(wheel.version))


def download(wheel: Wheel, folder: Path) -> Path:
    """Return the wheel's file in ``folder``, fetched unless it is there.

    Raises:
        ReleasesError: it cannot be fetched.
    """
    path = folder / wheel.url.rpartition("/")[2]
    if not path.exists():
        partial = path.with_suffix(".part")
        partial.write_bytes(_fetch(wheel.url))
        partial.replace(path)
    return path


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - the index gave it
            return bytes(answer.read())
    except OSError as error:
        message = f"{url}: cannot be fetched: {error}"
        raise ReleasesError(message) from error
