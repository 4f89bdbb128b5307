"""Tests of ``vc2doctor.checks``: one file per check."""

from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding


def findings_of(check: ModuleType, examination: Examination) -> list[Finding]:
    """Return the findings of one check."""
    function: Callable[[Examination], Iterator[Finding]] = check.check
    return list(function(examination))
