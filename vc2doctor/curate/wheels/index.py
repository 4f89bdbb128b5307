"""Read a package index through its JSON API (PEP 691). Only this module and ``ranges`` open connections."""

import json
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from vc2doctor.core import reading, writing
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.curate.wheels.ranges import save_sources

_DEFAULT_INDEX = "https://pypi.org/simple/"
_ACCEPT = "application/vnd.pypi.simple.v1+json"
_TIMEOUT = 60.0
"""Seconds for one connection."""
MIN_NATIVE_SIZE = 1 << 20
MIN_PURE_SIZE = 1 << 24
"""Bytes from which on reading ranges of a wheel is cheaper than reading everything. Some wheels are tagged for every
platform and contain compiled code for all of them (bitsandbytes)."""


class ReleasesError(DoctorError):
    """The package index, or a file on it, cannot be read."""


class Wheel(Data):
    """One released wheel, or a source distribution."""

    name: str
    version: str
    url: str
    uploaded: str
    """``2026-11-24``; empty: the index does not give the date."""
    requires_python: str | None
    tags: tuple[str, ...]
    """Such as ``cp311-cp311-manylinux_2_17_x86_64``; empty: it is a source distribution."""
    yanked: bool
    size: int = 0
    """In bytes; 0: the index does not give it."""
    has_metadata: bool = False
    """Whether the index serves the metadata as a file of its own (PEP 658)."""


def wheels(name: str) -> list[Wheel]:
    """Return the wheels of the final releases of ``name``, the oldest version first.

    Raises:
        ReleasesError: the index cannot be reached, or does not know the name.
    """
    return [file for file in files(name) if file.tags]


def files(name: str) -> list[Wheel]:
    """Return the wheels and source distributions of the final releases of ``name``, the oldest version first.

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
    parsed = _parsed(file["filename"])
    if parsed is None or parsed[0].is_prerelease:
        return None
    version, tags = parsed
    return Wheel(
        name=name,
        version=str(version),
        url=file["url"],
        uploaded=(file.get("upload-time") or "")[:10],
        requires_python=file.get("requires-python"),
        tags=tags,
        yanked=bool(file.get("yanked")),
        size=file.get("size") or 0,
        has_metadata=bool(file.get("core-metadata") or file.get("dist-info-metadata")),
    )


def _parsed(filename: str) -> tuple[Version, tuple[str, ...]] | None:
    """Return the version and the tags of a wheel or a source distribution (no tags); ``None``: it is neither."""
    try:
        _, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        try:
            return parse_sdist_filename(filename)[1], ()
        except (InvalidSdistFilename, InvalidVersion):
            return None
    return version, tuple(sorted(map(str, tags)))


def requirements(files: Iterable[Wheel], folder: Path) -> list[str]:
    """Return the requirements that a release declares, from the index; empty if the index does not have them.

    Raises:
        ReleasesError: a file of the index cannot be read.
    """
    described = next((file for file in files if file.has_metadata), None)
    if described is None:
        return []
    path = folder / f"{described.url.rpartition('/')[2]}.metadata"
    if not path.exists():
        writing.replace_all({path: _fetch(f"{described.url}.metadata")})
    text = reading.read_text_leniently(path)
    return HeaderParser().parsestr(text).get_all("Requires-Dist") or []


def download(wheel: Wheel, folder: Path) -> Path:
    """Return the path of the wheel in ``folder``; download it unless it is there already.

    Of a large wheel only the Python sources are downloaded.

    Raises:
        ReleasesError: the file cannot be downloaded.
    """
    path = folder / wheel.url.rpartition("/")[2]
    if not path.exists():
        # An interrupted download must not look like a wheel.
        partial = path.with_suffix(".part")
        is_pure = any(tag.endswith("-none-any") for tag in wheel.tags)
        if wheel.size > (MIN_PURE_SIZE if is_pure else MIN_NATIVE_SIZE):
            try:
                save_sources(wheel.url, wheel.size, partial, _TIMEOUT)
            except (OSError, zipfile.BadZipFile) as error:
                message = f"{wheel.url}: its files cannot be read: {error}"
                raise ReleasesError(message) from error
        else:
            writing.replace_all({partial: _fetch(wheel.url)})
        partial.replace(path)
    return path


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - the index gave it
            return bytes(response.read())
    except OSError as error:
        message = f"{url}: cannot be downloaded: {error}"
        raise ReleasesError(message) from error
