"""A finding: one fault, or one fact worth knowing, with a severity."""

from enum import Enum

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
