"""Everything that is known, as one object."""

from vc2doctor.core.data import Data
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.profile import Profile


class Matrix(Data):
    """Everything that is known."""

    profiles: dict[str, Profile]
    issues: tuple[KnownIssue, ...]
    verdicts: Verdicts
