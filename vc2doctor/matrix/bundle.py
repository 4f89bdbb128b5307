"""Bundles: one file that carries a release of a matrix, for example into a cluster without network.

A bundle is a ZIP archive. Its first entry, ``MANIFEST.json``, holds the SHA-256 of every other entry. The digest of the
manifest names the release. A bundle is read as input that may be hostile: its size, its entries, and their names are
checked, and nothing of it is executed.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from vc2doctor.core import reading, scratch, writing
from vc2doctor.core.data import Data
from vc2doctor.matrix.errors import MatrixError

MANIFEST = "MANIFEST.json"
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
"""The shipped matrix has 5 MiB, and less than 1 MiB as a bundle."""
MAX_ENTRIES = 5000
_ADVICE = "Copy the bundle again, or write it again: vc2doctor matrix bundle FILE"
_ENTRY = re.compile(
    r"(?:profiles|known_issues)/[a-z0-9][A-Za-z0-9._-]{0,99}\.toml"
    r"|evidence/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.jsonl"
    r"|(?:releases|verdicts|architectures|gpus)\.json|api\.json\.gz"
)
"""The names of the files of a matrix. A name with ``..``, a drive or a leading slash is none of them."""
_ENCRYPTED = 1
"""The bit of an entry's flags that says so (APPNOTE.TXT of the ZIP format, 4.4.4)."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that equal matrices make equal bundles."""


class BundleError(MatrixError):
    """A file is not a bundle, or it is damaged."""


class Manifest(Data):
    """What a bundle says about itself."""

    schema_: int = 1
    measured: str
    """The day of the newest measurement."""
    files: dict[str, str]
    """SHA-256 by name."""

    @property
    def data(self) -> bytes:
        """The bytes of the manifest in the bundle."""
        return (json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n").encode()

    @property
    def digest(self) -> str:
        """The SHA-256 that names this release of the matrix."""
        return hashlib.sha256(self.data).hexdigest()


def write(folder: Path, path: Path, measured: str) -> Manifest:
    """Write the matrix in ``folder`` to the bundle at ``path``, and return its manifest.

    Raises:
        OutputError: the file cannot be written.
        ReadError: a file of the matrix cannot be read.
    """
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    contents = {name: reading.read_bytes(folder / name) for name in names if _ENTRY.fullmatch(name)}
    manifest = Manifest(measured=measured, files={name: _sha256(data) for name, data in contents.items()})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST: manifest.data, **contents}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    writing.write_output(path, buffer.getvalue())
    return manifest


def read(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest of the bundle at ``path``, and the content of its files by name.

    Raises:
        BundleError: it is not a bundle, it is damaged, or it is larger than any matrix.
    """
    try:
        data = reading.read_bytes(path, MAX_ARCHIVE_BYTES)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            contents = _contents(archive)
    except _Refused as error:
        raise BundleError(unusable(path, str(error))) from error
    except reading.ReadError as error:
        raise BundleError(str(error)) from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        # NotImplementedError: a compression that Python does not know.
        raise BundleError(unusable(path, f"it is not a readable archive ({error})")) from error
    except Exception as error:  # zlib.error and struct.error have no common base, and a parser may raise others
        raise BundleError(unusable(path, f"it is damaged ({type(error).__name__})")) from error
    manifest = _manifest(path, contents.pop(MANIFEST, None))
    _compare(path, manifest.files, contents)
    return manifest, contents


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Unpack the bundle at ``path`` into a temporary folder while the context is open, and return the folder.

    Raises:
        BundleError: the file is not a bundle, or is damaged.
        ScratchError: there is no temporary folder that can be written to.
    """
    _, contents = read(path)
    with scratch.folder() as folder:
        for name, data in contents.items():
            scratch.write(folder / name, data)
        (folder / "profiles").mkdir(exist_ok=True)
        yield folder


class _Refused(Exception):  # noqa: N818 - raised and caught in this file only
    """Why the entries of an archive are refused."""


def _contents(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        message = f"it has {len(entries):,} entries; a matrix has fewer than {MAX_ENTRIES:,}"
        raise _Refused(message)
    contents: dict[str, bytes] = {}
    room = MAX_UNPACKED_BYTES
    for entry in entries:
        name = entry.filename
        if name != MANIFEST and not _ENTRY.fullmatch(name):
            message = f"it has an entry {name[:100]!r}, which is no file of a matrix"
            raise _Refused(message)
        if entry.flag_bits & _ENCRYPTED:
            message = f"its entry {name!r} is encrypted"
            raise _Refused(message)
        if name in contents:
            message = f"it has two entries {name!r}"
            raise _Refused(message)
        with archive.open(entry) as file:
            # The size that an entry claims is not used: it can be a lie.
            contents[name] = file.read(room + 1)
        room -= len(contents[name])
        if room < 0:
            message = f"it unpacks to more than {MAX_UNPACKED_BYTES // 1024**2} MiB"
            raise _Refused(message)
    return contents


def _manifest(path: Path, data: bytes | None) -> Manifest:
    if data is None:
        raise BundleError(unusable(path, f"it has no {MANIFEST}"))
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise BundleError(unusable(path, f"its {MANIFEST} is not one of a matrix")) from error


def _compare(path: Path, expected: Mapping[str, str], contents: Mapping[str, bytes]) -> None:
    """Compare the contents with the digests in the manifest.

    Raises:
        BundleError: they differ.
    """
    for name in sorted({*expected, *contents}):
        if name not in contents or name not in expected:
            where = "the archive" if name not in contents else "its manifest"
            raise BundleError(unusable(path, f"{name} is missing in {where}"))
        if _sha256(contents[name]) != expected[name]:
            raise BundleError(unusable(path, f"the digest of {name} is not the one in the manifest"))


def unusable(path: Path, reason: str) -> str:
    """Return the message on a bundle that cannot be used."""
    return f"{path}: not a matrix that can be used: {reason}. {_ADVICE}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
