"""A finding: one fault, or one fact worth knowing, with a severity."""

from datetime import date
from enum import Enum
from typing import Literal, NamedTuple

from pydantic import Field

from vc2doctor.core.data import Data


class Severity(str, Enum):
    """The weight of a finding, lightest first."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return list(Severity).index(self)


_RULES = "VC1"
"""How the ids of the linter's rules begin."""
_CHECKS_OF_CODE = ("VC030",)
"""Checks that try the training code in the environment."""


def is_of_code(finding_id: str) -> bool:
    """Return whether the finding is about the training code, and not about the environment."""
    return finding_id.startswith(_RULES) or finding_id in _CHECKS_OF_CODE


class ManifestLine(Data):
    """The line of a file of the project that says what is installed, or that is wrong itself."""

    path: str
    """Relative to the folder that training is started in."""
    line: int = 1


class WantedRelease(NamedTuple):
    """The releases of a package with which code works as it is."""

    package: str
    specifier: str
    instead: str
    """What else helps, as a sentence without its full stop: a change of the code; empty: nothing is known."""


class Finding(Data):
    """One fault, or one fact worth knowing, with its evidence and its remedy."""

    id: str = Field(pattern=r"^VC\d{3}$")
    severity: Severity
    message: str
    evidence: tuple[str, ...]
    """What was seen: each entry is a sentence or a quotation."""
    remedy: str
    """What to do, in one or more sentences."""
    commands: tuple[str, ...] = ()
    """Commands to paste that carry out the remedy. Several commands are alternatives."""
    url: str
    path: str | None = None
    line: int | None = None
    packages: tuple[str, ...] = ()
    """The distributions that it is about, by canonical name; the most important one first."""
    manifest: ManifestLine | None = None
    """Where the project asks for one of ``packages``; ``None``: nowhere, or it was not looked for."""
    wanted: WantedRelease | None = Field(default=None, exclude=True)
    """The releases with which the fault is gone: a check searches the command that installs one of them."""
    of_machine: bool = False
    """Whether it is about this machine or this run, and not about the project: the next machine may be without it. A
    baseline never holds such a finding, because it would stay silent there."""


class WaivedFinding(Data):
    """A finding that a policy or a baseline made lighter or silenced: the report still lists it."""

    id: str
    message: str
    place: str | None = None
    """``path:line``, or the path alone."""
    path: str | None = None
    line: int | None = None
    manifest: ManifestLine | None = None
    """Where the project asks for what it is about, as in the finding."""
    url: str = ""
    severity: Severity
    """What it was."""
    became: Literal["error", "warning", "note", "off", "baseline"]
    """What it is now; ``off`` and ``baseline``: it is not among the findings."""
    reason: str
    expires: date | None = None
    """The last day on which this counts."""
    baseline: str | None = None
    """The name of the baseline that holds it; ``None``: a policy waived it."""

    @property
    def is_hidden(self) -> bool:
        """Whether it is not among the findings any more."""
        return self.became in ("off", "baseline")
