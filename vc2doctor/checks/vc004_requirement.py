"""A declared requirement of an installed package is not met.

This check compares the requirements in the metadata of every installed package with the installed versions. Environment
markers are evaluated for the target interpreter. A requirement of an extra counts only if another installed package
requests this extra.

Why it matters: transformers checks its requirements when it is imported, and refuses to load. For a package of the
stack, and for a package that the stack depends on, the finding is an error; if the probe trained here nevertheless, it
is a warning. For other packages it is a note.

What to do: install the required version.
"""

from collections.abc import Iterator

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands

_URL = "https://packaging.python.org/en/latest/specifications/dependency-specifiers/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find declared requirements that the installed versions do not meet."""
    environment = examination.environment
    extras = _requested_extras(environment)
    seen: set[str] = set()
    for distribution in environment.distributions:
        # Of two distributions with one name, Python imports the first.
        if distribution.name in seen:
            continue
        seen.add(distribution.name)
        for requirement in _requirements(distribution, environment, extras.get(distribution.name, set())):
            finding = _unmet(examination, distribution, requirement)
            if finding is not None:
                yield finding


def _requested_extras(environment: Environment) -> dict[str, set[str]]:
    """Return the extras that installed packages request of each other, by the name of the package that has them."""
    extras: dict[str, set[str]] = {}
    for distribution in environment.distributions:
        for requirement in _requirements(distribution, environment, set()):
            extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return extras


def _requirements(distribution: Distribution, environment: Environment, extras: set[str]) -> Iterator[Requirement]:
    """Yield the requirements that apply in the target with these ``extras``; unreadable ones are skipped."""
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
        if name in examination.missing:
            # VC001 reports this package already.
            return None
        state = "which is not installed"
    elif installed.parsed is None or requirement.specifier.contains(installed.parsed, prereleases=True):
        return None
    else:
        state = f"but {installed.version} is installed"
    required = f"{requirement.name}{requirement.specifier}"
    return Finding(
        id="VC004",
        severity=advice.severity_for(examination, distribution.name, elsewhere=Severity.NOTE),
        message=f"{distribution.name} {distribution.version} requires {required}, {state}",
        evidence=(f"Requires-Dist: {requirement}",),
        remedy=f"Install {required}.",
        commands=(commands.install(examination.environment.interpreter, [required]),),
        url=_URL,
        path=distribution.path,
    )
