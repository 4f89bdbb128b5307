"""What of an environment the matrix does not judge: packages that the stack imports and the matrix does not model."""

from collections.abc import Collection, Mapping

from pydantic import Field

from vc2doctor.core.data import OwnData
from vc2doctor.matrix.matrix import Matrix


class NotJudged(OwnData):
    """The installed packages that a verdict on versions does not cover."""

    imported: dict[str, str] = Field(default_factory=dict)
    """Those that the training stack imports, with their versions."""
    common: dict[str, str] = Field(default_factory=dict)
    """Of what it imports, those that come with every stack: each measured cell had them too, in some version."""
    others: tuple[str, ...] = ()
    """The names of the others."""


def not_judged(
    installed: Mapping[str, str], imported: Collection[str], matrix: Matrix, *, common: Collection[str] = ()
) -> NotJudged:
    """Return which of the ``installed`` versions (by canonical name) no verdict of ``matrix`` depends on.

    ``imported`` are the names of the distributions that training imports; the others are only counted in a report.
    ``common`` are the names of those that come with every stack.
    """
    unmodeled = {name: text for name, text in sorted(installed.items()) if name not in matrix.modeled_packages}
    return NotJudged(
        imported={name: text for name, text in unmodeled.items() if name in imported and name not in common},
        common={name: text for name, text in unmodeled.items() if name in imported and name in common},
        others=tuple(name for name in unmodeled if name not in imported),
    )
