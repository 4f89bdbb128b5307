"""A file with the findings that a project has already: only new ones count."""

import codecs
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from vc2doctor.core import reading, writing
from vc2doctor.core.data import Data, with_texts
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.printing import without_surrogates
from vc2doctor.findings import Finding

MAX_BYTES = 16 * 1024 * 1024
_SCHEMA = 1
_OTHER_FILE = "Name another file with --baseline, or remove this one and write it with --update-baseline."


class BaselineError(DoctorError):
    """A baseline cannot be read or written."""


class BaselineEntry(Data):
    """One finding of a baseline. Only the fingerprint is compared; the rest is for people."""

    fingerprint: str
    id: str
    path: str | None = None
    message: str


class Baseline(Data):
    """The findings that a project has already."""

    schema_version: int = _SCHEMA
    findings: tuple[BaselineEntry, ...] = ()

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all entries."""
        return frozenset(entry.fingerprint for entry in self.findings)


def read(path: Path) -> Baseline:
    """Return the baseline in a file.

    Raises:
        BaselineError: it cannot be read, or holds something else.
    """
    try:
        baseline = _parsed(path)
    except reading.MissingFileError as error:
        message = f"--baseline {path}: there is no such file yet. Write it with --update-baseline."
        raise BaselineError(message) from error
    except reading.ReadError as error:
        raise BaselineError(str(error)) from error
    if baseline is None:
        message = f"{path}: the file does not hold a baseline. {_OTHER_FILE}"
        raise BaselineError(message)
    if baseline.schema_version != _SCHEMA:
        message = f"{path}: the baseline is of another version of the doctor. Write it again with --update-baseline."
        raise BaselineError(message)
    return baseline


def check_replaceable(path: Path) -> None:
    """Check that a new baseline at ``path`` would replace a baseline, and no other file of the user.

    What is no regular file is not replaced (``writing.write_output``).

    Raises:
        BaselineError: the file holds something else.
    """
    try:
        holds_another = bool(reading.read_start(path, 1)) and _parsed(path) is None
    except reading.LargeFileError:
        holds_another = True
    except reading.ReadError:
        # There is none yet; or it cannot be written either, which is found out then.
        return
    if holds_another:
        message = f"{path}: the file does not hold a baseline, so it is not overwritten. {_OTHER_FILE}"
        raise BaselineError(message)


def _parsed(path: Path) -> Baseline | None:
    """Return the baseline in a file; ``None``: it holds something else.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        # Editors on Windows write a byte order mark.
        return Baseline.model_validate_json(reading.read_bytes(path, MAX_BYTES).removeprefix(codecs.BOM_UTF8))
    except ValidationError:
        return None


def write(path: Path, findings: Sequence[Finding], fingerprints: Sequence[str]) -> Baseline:
    """Write the baseline of ``findings`` to a file, and return it.

    Raises:
        OutputError: the file cannot be written.
    """
    entries = [
        BaselineEntry(fingerprint=fingerprint, id=finding.id, path=finding.path, message=finding.message)
        for finding, fingerprint in zip(findings, fingerprints, strict=True)
    ]
    baseline = Baseline(
        findings=tuple(sorted(entries, key=lambda entry: (entry.id, entry.path or "", entry.fingerprint)))
    )
    # Names that are not UTF-8 would make a file that cannot be read again. The rest is ASCII, for every locale.
    printable = with_texts(baseline, without_surrogates)
    writing.write_output(path, json.dumps(printable.model_dump(), indent=2) + "\n")
    return baseline
