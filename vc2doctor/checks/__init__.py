"""The checks, one file each: pure functions from an examination to findings.

A check is a module ``vcNNN_name`` with a function ``check``. Its docstring is its page for ``vc2doctor explain``: what
it finds, why that matters, and what to do. A new check needs no registration: the file is enough.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from vc2doctor.core import discovery
from vc2doctor.findings import Finding

if TYPE_CHECKING:
    from vc2doctor.checks.context import Examination  # imports nearly everything, and a report needs only the plan

_WITHOUT_ENVIRONMENT = ("VC001", "VC021")
"""Checks that run even if no environment was chosen: the others would judge an environment that does not train."""
_WITHOUT_FACTS = ("VC021", "VC024")
"""Checks that run even if the target did not say what is installed: the others would take that for an empty one."""

Check = Callable[["Examination"], Iterator[Finding]]


def modules() -> tuple[ModuleType, ...]:
    """Return the modules of all checks, sorted by number."""
    return tuple(discovery.modules(__name__, __path__).values())


def pages() -> dict[str, str]:
    """Return the page of every check, by id."""
    return discovery.pages(__name__, __path__)


def run(examination: "Examination") -> tuple[Finding, ...]:
    """Return the findings of all checks and of the linter: errors first, then by id."""
    from vc2doctor.checks.code_remedies import with_commands  # noqa: PLC0415 - imports nearly everything

    findings: list[Finding] = [*with_commands(examination)]
    for module in modules():
        if _applies(discovery.id_of(module.__name__.rpartition(".")[2]), examination):
            check: Check = module.check
            findings.extend(check(examination))
    return tuple(sorted(findings, key=lambda finding: (-finding.severity.rank, finding.id)))


def _applies(id_: str, examination: "Examination") -> bool:
    if examination.environment.failure is not None:
        return id_ in _WITHOUT_FACTS
    return not examination.environment.is_unchosen or id_ in _WITHOUT_ENVIRONMENT
