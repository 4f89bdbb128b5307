"""The registry of named causes: each function of evidence adds itself with its remedy."""

from collections.abc import Callable
from typing import NamedTuple

from vc2doctor.probe.case import Case

Evidence = Callable[[Case], str | None]


class NamedCause(NamedTuple):
    """A cause that the doctor can name."""

    id: str
    """The name that reports show: ``forward-overflow``."""
    remedy: str
    """What users should do, as one paragraph."""
    evidence: Evidence


CAUSES: list[NamedCause] = []
"""All causes, in the order in which they are asked."""


def cause(remedy: str) -> Callable[[Evidence], Evidence]:
    """Add the decorated function to ``CAUSES``, under its name with hyphens."""

    def register(evidence: Evidence) -> Evidence:
        CAUSES.append(NamedCause(evidence.__name__.replace("_", "-"), remedy, evidence))
        return evidence

    return register
