"""Read a matrix folder. An error names the file, and the line or key in it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from vc2doctor.core import parsing, reading, shell
from vc2doctor.core.data import Data
from vc2doctor.matrix import releases
from vc2doctor.matrix.architectures import Architectures
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.errors import MatrixError, StaleVerdictsError
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile

if TYPE_CHECKING:
    from vc2doctor.matrix.evidence import EvidenceLine

_EntryT = TypeVar("_EntryT", bound=Data)

_FAULTS = {"extra_forbidden": "there is no such key; check its spelling", "missing": "this key is missing"}
"""Descriptions of the faults that pydantic words for programmers ("Extra inputs are not permitted"), by its type."""


def shipped() -> Path:
    """Return the folder of the matrix that comes with the doctor: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "matrices"
    return inside if inside.is_dir() else package.parent / "matrices"


def is_matrix(folder: Path) -> bool:
    """Return whether a folder holds a matrix."""
    return (folder / "profiles").is_dir()


def load(folder: Path) -> Matrix:
    """Return the matrix in ``folder``, or the one in the bundle at this path (``matrix/bundle.py``).

    Raises:
        BundleError: the bundle is damaged.
        MatrixError: the folder is not a matrix, or one of its files is wrong.
        ScratchError: there is no temporary folder for a bundle.
        StaleVerdictsError: the verdicts are missing or damaged, or were compiled from other files.
    """
    if not folder.is_dir() and folder.exists():
        return _load_bundle(folder)
    if not is_matrix(folder):
        message = f"{folder}: not a matrix; a matrix has the folders profiles, known_issues and evidence"
        raise MatrixError(message)
    return Matrix(
        profiles={entry.name: entry for entry in profiles(folder)},
        issues=known_issues(folder),
        # Before the verdicts: a damaged file must be named, and not only called different from what was compiled.
        wheels=releases.read(folder / "releases.json"),
        verdicts=_verdicts(folder),
        architectures=architectures(folder),
    )


def _load_bundle(path: Path) -> Matrix:
    from vc2doctor.matrix import bundle  # noqa: PLC0415 - most matrices are folders

    with bundle.unpacked(path) as folder:
        try:
            return load(folder)
        except StaleVerdictsError as error:
            # No command can compile what is in a bundle.
            message = bundle.unusable(path, "its verdicts are missing, damaged, or of other files")
            raise bundle.BundleError(message) from error
        except (MatrixError, reading.ReadError) as error:
            # The path of the temporary folder does not help the user.
            raise MatrixError(str(error).replace(str(folder), str(path))) from error


def profiles(folder: Path) -> tuple[Profile, ...]:
    """Return the profiles of the matrix in ``folder``.

    Raises:
        MatrixError: one of the files is wrong.
    """
    return tuple(_toml_entries(folder / "profiles", Profile, "name"))


def known_issues(folder: Path) -> tuple[KnownIssue, ...]:
    """Return the known issues of the matrix in ``folder``.

    Raises:
        MatrixError: one of the files is wrong.
    """
    return tuple(_toml_entries(folder / "known_issues", KnownIssue, "id"))


def evidence(folder: Path) -> "tuple[EvidenceLine, ...]":
    """Return all evidence of the matrix in ``folder``.

    Raises:
        MatrixError: a line is not a measured cell.
    """
    return tuple(line for path in sorted((folder / "evidence").glob("*.jsonl")) for line in evidence_lines(path))


def evidence_lines(path: Path) -> "Iterator[EvidenceLine]":
    """Yield the lines of one evidence file.

    Raises:
        MatrixError: a line is not a measured cell.
    """
    from vc2doctor.matrix.evidence import EvidenceLine  # noqa: PLC0415 - to judge, the verdicts are enough

    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if line.strip():
            try:
                yield EvidenceLine.model_validate_json(line)
            except ValidationError as error:
                raise MatrixError(_located_faults(f"{path}:{number}", error)) from error


def profile(matrix: Matrix, name: str) -> Profile:
    """Return the profile called ``name``.

    Raises:
        MatrixError: the matrix has no such profile.
    """
    try:
        return matrix.profiles[name]
    except KeyError:
        message = f"there is no profile {name!r}; the matrix has {', '.join(sorted(matrix.profiles)) or 'none'}"
        raise MatrixError(message) from None


def digest(folder: Path) -> str:
    """Return the SHA-256 of the files that the verdicts of a matrix folder are compiled from."""
    sha256 = hashlib.sha256()
    sources = [*folder.glob("evidence/*.jsonl"), *folder.glob("known_issues/*.toml"), folder / "releases.json"]
    for path in sorted(sources):
        if path.exists():
            # Piece by piece: a joined copy of these megabytes takes as long as their digest.
            for piece in (path.name.encode(), b"\0", reading.read_bytes(path), b"\0"):
                sha256.update(piece)
    return sha256.hexdigest()


def architectures(folder: Path) -> Architectures:
    """Return the architectures of transformers of the matrix in ``folder``; empty if it has no such file.

    Raises:
        MatrixError: the file holds something else.
    """
    path = folder / "architectures.json"
    if not path.exists():
        return Architectures()
    try:
        return Architectures.model_validate_json(reading.read_bytes(path))
    except (reading.ReadError, ValidationError) as error:
        message = f"{path}: the file does not hold architectures; take the one that comes with the doctor"
        raise MatrixError(message) from error


def _verdicts(folder: Path) -> Verdicts:
    path = folder / "verdicts.json"
    command = f"vc2doctor matrix compile --matrix {shell.quote(str(folder))}"
    try:
        verdicts = Verdicts.model_validate_json(reading.read_bytes(path))
    except reading.MissingFileError as error:
        message = f"{path}: the file does not exist yet; write it: {command}"
        raise StaleVerdictsError(message) from error
    except (reading.ReadError, ValidationError) as error:
        message = f"{path}: the file does not hold compiled verdicts; write it again: {command}"
        raise StaleVerdictsError(message) from error
    if verdicts.sources != digest(folder):
        message = f"{path}: the evidence, known issues or wheels have changed since it was compiled; run: {command}"
        raise StaleVerdictsError(message)
    return verdicts


def _toml_entries(folder: Path, kind: type[_EntryT], key: str) -> Iterator[_EntryT]:
    """Yield the entries of a folder of TOML files, one a file; the value of ``key`` must be the name of the file."""
    for path in sorted(folder.glob("*.toml")):
        try:
            entry = kind.model_validate(parsing.parse_toml(_read_text(path)))
        except parsing.MalformedError as error:
            message = f"{path}: not TOML: {error}"
            raise MatrixError(message) from error
        except ValidationError as error:
            raise MatrixError(_located_faults(str(path), error)) from error
        if getattr(entry, key) != path.stem:
            message = f"{path}: {key} is {getattr(entry, key)!r}; it must be the file's name, {path.stem!r}"
            raise MatrixError(message)
        yield entry


def _read_text(path: Path) -> str:
    try:
        return reading.read_text(path)
    except reading.ReadError as error:
        raise MatrixError(str(error)) from error


def _located_faults(place: str, error: ValidationError) -> str:
    return "\n".join(f"{place}: {fault}" for fault in describe_faults(error))


def describe_faults(error: ValidationError) -> list[str]:
    """Return what is wrong with an entry, as ``KEY: FAULT``."""
    faults = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "(the whole entry)"
        message = _FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        faults.append(f"{key}: {message}")
    return faults
