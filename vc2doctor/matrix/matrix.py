"""Everything that the project knows about versions, as one object."""

from vc2doctor.core.data import Data
from vc2doctor.matrix.architectures import Architectures
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.profile import Profile


class Matrix(Data):
    """The content of one matrix folder."""

    profiles: dict[str, Profile]
    """By name."""
    issues: tuple[KnownIssue, ...]
    verdicts: Verdicts
    architectures: Architectures = Architectures()
    """The architectures of transformers; empty: the folder has no such file."""
