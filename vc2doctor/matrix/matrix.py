"""Everything that the project knows about versions, as one object."""

from functools import cached_property

from vc2doctor.core.data import OwnData
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.matrix.architectures import Architectures
from vc2doctor.matrix.compiled import GPU, Verdicts
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.profile import Profile
from vc2doctor.matrix.releases import NO_WHEELS, Wheels


class Matrix(OwnData):
    """The content of one matrix folder."""

    profiles: dict[str, Profile]
    """By name."""
    issues: tuple[KnownIssue, ...]
    verdicts: Verdicts
    architectures: Architectures = Architectures()
    """The architectures of transformers; empty: the folder has no such file."""
    wheels: Wheels = NO_WHEELS
    """The released versions: a remedy is chosen among them."""

    @cached_property
    def modeled_packages(self) -> frozenset[str]:
        """The packages whose version a verdict can depend on, by canonical name.

        These are the stack, the packages whose versions were recorded when cells were measured, and the packages that
        known issues and constraints name.
        """
        conditions = [condition for issue in self.issues for condition in issue.when]
        conditions += [constraint.when for constraint in self.verdicts.constraints]
        names = {name for mapping in (*conditions, *self.verdicts.companions) for name in mapping}
        return frozenset({*STACK_PACKAGES, *names} - {"python", GPU})
