"""A declared requirement of an installed package is not met.

This check compares the requirements in the metadata of every installed package with the installed versions. Environment
markers are evaluated for the target interpreter. A requirement of an extra counts only if another installed package
requests this extra.

Why it matters: transformers checks its requirements when it is imported, and refuses to load. For a package of the
stack, and for a package that the stack depends on, the finding is an error; if the probe trained here nevertheless, it
is a warning. For other packages it is a note.

What to do: make the change that the finding names. It was checked against the matrix and the other requirements.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands
from vc2doctor.remedies.requirements import DeclaredRequirement, declared

_URL = "https://packaging.python.org/en/latest/specifications/dependency-specifiers/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find declared requirements that the installed versions do not meet."""
    for entry in declared(examination.environment):
        finding = _unmet(examination, entry)
        if finding is not None:
            yield finding


def _unmet(examination: Examination, entry: DeclaredRequirement) -> Finding | None:
    distribution, requirement = entry.distribution, entry.requirement
    installed = examination.environment.distribution(entry.name)
    if installed is None:
        if entry.name in examination.missing:
            # VC001 reports this package already.
            return None
        state = "which is not installed"
    elif installed.parsed is None or requirement.specifier.contains(installed.parsed, prereleases=True):
        return None
    else:
        state = f"but {installed.version} is installed"
    required = f"{requirement.name}{requirement.specifier}"
    remedy, remedy_commands = _remedy(examination, entry)
    return Finding(
        id="VC004",
        severity=advice.severity_for(examination, distribution.name, elsewhere=Severity.NOTE),
        message=f"{distribution.name} {distribution.version} requires {required}, {state}",
        evidence=(f"Requires-Dist: {requirement}",),
        remedy=remedy,
        commands=remedy_commands,
        url=_URL,
        path=distribution.path,
        packages=(entry.name, distribution.name),
    )


def _remedy(examination: Examination, entry: DeclaredRequirement) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands: one plan for the stack, and a tested change for other packages."""
    if advice.is_planned(examination, entry.distribution.name):
        return advice.change_versions(examination)
    if advice.is_planned(examination, entry.name):
        return advice.change_to_meet(examination, entry.name, entry.specifier)
    required = f"{entry.name}{entry.specifier}"
    return f"Install {required}.", (commands.change(examination.environment, [required]),)
