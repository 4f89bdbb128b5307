"""Where a project asks for the packages that a finding is about, so that a CI system can show the finding there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vc2doctor.checks.plan import AskedVersion
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Finding, ManifestLine

if TYPE_CHECKING:
    from vc2doctor.linter.read.requirements import RequiredVersion

_TEXTS_FOR_PEOPLE = (".md", ".rst")
"""Suffixes of files that name versions and install nothing."""


def with_manifests(findings: Iterable[Finding], environment: Environment, folder: Path) -> tuple[Finding, ...]:
    """Return ``findings`` with the lines of the files in ``folder`` that ask for their packages."""
    listed = tuple(findings)
    required = _required(folder) if any(finding.packages for finding in listed) else {}
    return tuple(_with_manifest(finding, required, environment, folder) for finding in listed)


def asked_by(folder: Path) -> dict[str, AskedVersion]:
    """Return which versions the files in ``folder`` ask for, by package; without those that allow every release."""
    return {
        name: AskedVersion(specifier=entry.specifier, location=entry.location)
        for name, entry in _required(folder).items()
        if entry.specifier
    }


def _required(folder: Path) -> dict[str, "RequiredVersion"]:
    from vc2doctor.linter.read.requirements import requirements_of  # noqa: PLC0415 - few findings need it

    return {
        name: entry
        for name, entry in requirements_of(folder.resolve(), "").items()
        if not entry.file.endswith(_TEXTS_FOR_PEOPLE)
    }


def _with_manifest(
    finding: Finding, required: Mapping[str, "RequiredVersion"], environment: Environment, folder: Path
) -> Finding:
    entry = next((required[name] for name in finding.packages if name in required), None)
    if entry is not None:
        return finding.model_copy(update={"manifest": ManifestLine(path=entry.file, line=entry.line)})
    own = _own_file(finding, environment, folder.resolve())
    return finding.model_copy(update={"manifest": ManifestLine(path=own)}) if own is not None else finding


def _own_file(finding: Finding, environment: Environment, folder: Path) -> str | None:
    """Return the file of the project that the finding is about, relative to ``folder``; ``None``: it is about none."""
    path = Path(finding.path or "")
    is_installed = path.is_relative_to(environment.interpreter.prefix)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) and not is_installed else None
