"""Tests of vc2doctor.checks: one file a check."""

from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding


def found_by(check: ModuleType, examination: Examination) -> list[Finding]:
    """Return what one check finds."""
    function: Callable[[Examination], Iterator[Finding]] = check.check
    return list(function(examination))
