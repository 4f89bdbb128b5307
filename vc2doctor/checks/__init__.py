"""The judgement: one file a check, each a pure function from an examination to findings.

A check is a module ``vcNNN_name`` with a function ``check``. Its docstring is its reference page: what it finds,
why that matters, what to do. Adding the file is all that is needed.
"""

from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.checks.context import Examination
from vc2doctor.core import discovery
from vc2doctor.findings import Finding

Check = Callable[[Examination], Iterator[Finding]]


def modules() -> tuple[ModuleType, ...]:
    """Return every check's module, by number."""
    return tuple(discovery.modules(__name__, __path__).values())


def pages() -> dict[str, str]:
    """Return the page of every check, by id."""
    return discovery.pages(__name__, __path__)


def run(examination: Examination) -> tuple[Finding, ...]:
    """Return what all checks and the linter find, the heaviest first, then by id."""
    found: list[Finding] = [*examination.code]
    for module in modules():
        check: Check = module.check
        found.extend(check(examination))
    return tuple(sorted(found, key=lambda finding: (-finding.severity.rank, finding.id)))
