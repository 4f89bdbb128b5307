"""How old a matrix is, and whether it is older than the releases that it judges."""

from collections.abc import Mapping

from pydantic import Field

from vc2doctor.core.data import OwnData
from vc2doctor.core.versions import version
from vc2doctor.matrix.matrix import Matrix


class MatrixAge(OwnData):
    """The dates of a matrix, as far as they concern some versions."""

    measured: str
    """The day of its newest measurement: ``2026-11-25``; empty: it holds none."""
    released: str
    """The day on which its lists of releases were read; empty: they were not read."""
    newer: dict[str, str] = Field(default_factory=dict)
    """The versions that are newer than the matrix, or not in its lists of releases, by package."""

    @property
    def sentence(self) -> str:
        """The dates in words."""
        measured = f"measured up to {self.measured}" if self.measured else "without a measurement"
        return f"{measured}, releases known up to {self.released}" if self.released else measured

    @property
    def warning(self) -> str:
        """A warning if the matrix is older than the versions that it judges, else an empty text."""
        if not self.newer:
            return ""
        named = ", ".join(f"{name} {text}" for name, text in self.newer.items())
        return (
            f"The matrix is older than {named}, or there is no such release."
            " Check the version, or use a newer vc2doctor."
        )


def age_of(versions: Mapping[str, str], matrix: Matrix) -> MatrixAge:
    """Return the dates of ``matrix``, with those of ``versions`` that are newer than it."""
    verdicts = matrix.verdicts
    return MatrixAge(
        measured=verdicts.measured,
        released=verdicts.released,
        newer={name: text for name, text in versions.items() if _is_newer(name, text, matrix)},
    )


def _is_newer(name: str, text: str, matrix: Matrix) -> bool:
    """Return whether a final release was uploaded after the newest measurement, or is not in the list of releases."""
    known = matrix.verdicts.releases.get(name, ())
    release = version(text)
    if not known or release.is_prerelease or release < version(known[0]):
        # The lists begin with the oldest release that is supported.
        return False
    unseen = matrix.verdicts.unseen_releases.get(name, ())
    return all(release != version(other) for other in known) or any(release == version(other) for other in unseen)
