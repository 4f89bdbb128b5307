"""What is wrong or worth knowing: a severity and a finding."""

from enum import Enum

from pydantic import Field

from vc2doctor.core.data import Data


class Severity(str, Enum):
    """How much a finding weighs; ``rank`` orders them."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 2 for an error."""
        return list(Severity).index(self)


class Finding(Data):
    """One thing that is wrong or worth knowing, with its evidence and what mends it."""

    id: str = Field(pattern=r"^VC\d{3}$")
    severity: Severity
    message: str
    evidence: tuple[str, ...]
    """What was seen, each a sentence or a quotation."""
    remedy: str
    """What to do, in words."""
    commands: tuple[str, ...] = ()
    """Commands to paste that do it; where there are several, each is an alternative."""
    url: str
    path: str | None = None
    line: int | None = None
