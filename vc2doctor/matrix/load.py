"""Reads a matrix directory; what is wrong in it is told with file, line and key."""

import hashlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Entry = TypeVar("_Entry", bound=Data)


class MatrixError(DoctorError):
    """A file of the matrix cannot be used."""


class StaleVerdictsError(MatrixError):
    """What a matrix was compiled from has changed since."""


def shipped() -> Path:
    """Return the matrix that came with the doctor: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "matrices"
    return inside if inside.is_dir() else package.parent / "matrices"


def load(folder: Path) -> Matrix:
    """Return the matrix in ``folder``.

    Raises:
        MatrixError: the folder is not a matrix, or one of its files is wrong.
        StaleVerdictsError: its verdicts were compiled from other files.
    """
    if not (folder / "profiles").is_dir():
        message = f"{folder}: not a matrix; it needs the folders profiles, known_issues and evidence"
        raise MatrixError(message)
    profiles = {entry.name: entry for entry in _tomls(folder / "profiles", Profile, "name")}
    issues = known_issues(folder)
    return Matrix(profiles=profiles, issues=issues, verdicts=_verdicts(folder))


def known_issues(folder: Path) -> tuple[KnownIssue, ...]:
    """Return the known issues of the matrix in ``folder``.

    Raises:
        MatrixError: one of the files is wrong.
    """
    return tuple(_tomls(folder / "known_issues", KnownIssue, "id"))


def evidence(folder: Path) -> tuple[EvidenceLine, ...]:
    """Return all the evidence of the matrix in ``folder``.

    Raises:
        MatrixError: a line is not a measured cell.
    """
    return tuple(line for path in sorted((folder / "evidence").glob("*.jsonl")) for line in evidence_lines(path))


def digest(folder: Path) -> str:
    """Return the SHA-256 of what the verdicts of a matrix folder are compiled from."""
    found = hashlib.sha256()
    for path in sorted(
        [*folder.glob("evidence/*.jsonl"), *folder.glob("known_issues/*.toml"), folder / "releases.json"]
    ):
        if path.exists():
            found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def _verdicts(folder: Path) -> Verdicts:
    path = folder / "verdicts.json"
    again = f"vc2doctor matrix compile --matrix {shlex.quote(str(folder))}"
    try:
        found = Verdicts.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"{path}: there are no compiled verdicts yet; write them: {again}"
        raise StaleVerdictsError(message) from error
    except (OSError, ValidationError) as error:
        message = f"{path}: not compiled verdicts; write them again: {again}"
        raise MatrixError(message) from error
    if found.sources != digest(folder):
        message = f"{path}: older than the evidence, known issues or wheels that it was compiled from; run: {again}"
        raise StaleVerdictsError(message)
    return found


def profile(matrix: Matrix, name: str) -> Profile:
    """Return the profile called ``name``.

    Raises:
        MatrixError: there is none.
    """
    try:
        return matrix.profiles[name]
    except KeyError:
        message = f"there is no profile {name!r}; the matrix has {', '.join(sorted(matrix.profiles)) or 'none'}"
        raise MatrixError(message) from None


def evidence_lines(path: Path) -> Iterator[EvidenceLine]:
    """Yield the lines of one evidence file.

    Raises:
        MatrixError: a line is not a measured cell.
    """
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            try:
                yield EvidenceLine.model_validate_json(line)
            except ValidationError as error:
                raise MatrixError(_explain(f"{path}:{number}", error)) from error


def _tomls(folder: Path, kind: type[_Entry], key: str) -> Iterator[_Entry]:
    for path in sorted(folder.glob("*.toml")):
        try:
            entry = kind.model_validate(tomllib.loads(_text(path)))
        except tomllib.TOMLDecodeError as error:
            message = f"{path}: not TOML: {error}"
            raise MatrixError(message) from error
        except ValidationError as error:
            raise MatrixError(_explain(str(path), error)) from error
        if getattr(entry, key) != path.stem:
            message = f"{path}: {key} is {getattr(entry, key)!r}; it must be the file's name, {path.stem!r}"
            raise MatrixError(message)
        yield entry


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise MatrixError(message) from error


def _explain(place: str, error: ValidationError) -> str:
    faults = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "(the whole entry)"
        faults.append(f"{place}: {key}: {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(faults)
