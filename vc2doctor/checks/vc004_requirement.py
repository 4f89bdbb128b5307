"""A declared requirement of an installed distribution is not met.

Markers are evaluated for the target interpreter. A requirement of an extra counts only for the extras that another
installed distribution asks for by name. Of the packages of the stack and what they lean on it is an error: transformers
checks its requirements when it is imported, and refuses. Where the probe trained all the same it is a warning, and of
other distributions a note.
"""

from collections.abc import Iterator

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import COMPANION_PACKAGES, STACK_PACKAGES, Distribution, Environment
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands

_URL = "https://packaging.python.org/en/latest/specifications/dependency-specifiers/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find declared requirements that the installed versions do not meet."""
    environment = examination.environment
    seen: set[str] = set()
    asked = _extras(environment)
    for distribution in environment.distributions:
        if distribution.name in seen:
            continue
        seen.add(distribution.name)
        for requirement in _applying(distribution, environment, asked.get(distribution.name, set())):
            finding = _unmet(examination, distribution, requirement)
            if finding is not None:
                yield finding


def _extras(environment: Environment) -> dict[str, set[str]]:
    asked: dict[str, set[str]] = {}
    for distribution in environment.distributions:
        for requirement in _applying(distribution, environment, set()):
            asked.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return asked


def _applying(distribution: Distribution, environment: Environment, extras: set[str]) -> Iterator[Requirement]:
    for text in distribution.requires:
        try:
            requirement = Requirement(text)
            marker = requirement.marker
            applies = marker is None or any(
                marker.evaluate({**environment.platform.markers, "extra": extra}) for extra in ("", *extras)
            )
        except (InvalidRequirement, UndefinedEnvironmentName):
            continue
        if applies:
            yield requirement


def _unmet(examination: Examination, distribution: Distribution, requirement: Requirement) -> Finding | None:
    name = canonicalize_name(requirement.name)
    installed = examination.environment.distribution(name)
    if installed is None:
        state = "which is not installed"
    elif installed.parsed is None or requirement.specifier.contains(installed.parsed, prereleases=True):
        return None
    else:
        state = f"and {installed.version} is installed"
    if name in examination.missing and installed is None:
        # VC001 has said so, once.
        return None
    watched = (*STACK_PACKAGES, *COMPANION_PACKAGES)
    wanted = f"{requirement.name}{requirement.specifier}"
    return Finding(
        id="VC004",
        severity=examination.capped_if_trained(Severity.ERROR) if distribution.name in watched else Severity.NOTE,
        message=f"{distribution.name} {distribution.version} requires {wanted}, {state}",
        evidence=(f"Requires-Dist: {requirement}",),
        remedy="Install what it requires.",
        commands=(commands.install(examination.environment.interpreter, [wanted]),),
        url=_URL,
        path=distribution.path,
    )
