"""What could still break a combination, depending on packages that it does not name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, holds
from vc2doctor.matrix.door_table import lineage
from vc2doctor.matrix.doors import describe
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.verdict import Combination
from vc2doctor.target.doors import LOOP


class PossibleConflict(Data):
    """Versions of packages that the user did not name, and with which the combination fails."""

    missing: dict[str, str]
    """Specifiers (or ``absent``) by distribution."""
    reason: str

    @property
    def where(self) -> str:
        """The condition in words: ``with accelerate <0.21``."""
        return " and ".join(
            f"without {name}" if wanted == ABSENT else f"with {name} {wanted or '(any version)'}"
            for name, wanted in self.missing.items()
        )


def possible_conflicts(
    combination: Combination, matrix: Matrix, recipe: str, doors: Sequence[str] = ()
) -> tuple[PossibleConflict, ...]:
    """Return what could still break a combination behind ``doors``, depending on packages that it does not name.

    A complete environment leaves nothing open, so the result is empty for it.
    """
    if combination.installed:
        return ()
    passed = {LOOP, *(door for name in doors for door in lineage(name))}
    regions = [
        (issue.title, alternative) for issue in matrix.issues if issue.concerns(recipe) for alternative in issue.when
    ]
    regions += [
        (describe(constraint), constraint.when)
        for constraint in matrix.verdicts.constraints
        if constraint.affects(recipe) and constraint.door in passed
    ]
    return tuple(_open_conflicts(combination.named, regions))


def _open_conflicts(
    named: Mapping[str, str], regions: Iterable[tuple[str, Mapping[str, str]]]
) -> Iterator[PossibleConflict]:
    """Yield the regions (with their reasons) that ``named`` matches as far as it goes, and that need more packages."""
    for reason, when in regions:
        missing = {name: wanted for name, wanted in when.items() if name not in named}
        matching = {name: wanted for name, wanted in when.items() if name in named}
        if missing and matching and holds(matching, named):
            yield PossibleConflict(missing=missing, reason=reason)
