"""Everything that the project knows about versions, as one object."""

from vc2doctor.core.data import Data
from vc2doctor.matrix.compiled import Verdicts
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.profile import Profile
from vc2doctor.matrix.releases import NO_WHEELS, Wheels


class Matrix(Data):
    """The content of one matrix folder."""

    profiles: dict[str, Profile]
    """By name."""
    issues: tuple[KnownIssue, ...]
    verdicts: Verdicts
    wheels: Wheels = NO_WHEELS
    """The released versions: a remedy is chosen among them."""
