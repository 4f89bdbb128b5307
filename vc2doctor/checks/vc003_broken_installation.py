"""An installation is damaged: metadata or files are missing, or one package is installed twice.

This check reads the metadata folder of every installed package: METADATA must exist and name a version, RECORD must be
readable, and the files that RECORD lists must exist.

Why it matters: after an interrupted or repeated ``pip install``, or if two tools manage one environment, the version
that pip lists can differ from the version that Python imports. The finding is an error for a package of the stack and
for a package that the stack depends on. It is a warning for other packages, and if the probe trained here nevertheless.

What to do: remove a copy that you do not want, and reinstall the package.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePath

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands

_URL = "https://packaging.python.org/en/latest/specifications/recording-installed-packages/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find damaged installations, and packages that are installed twice."""
    by_name: dict[str, list[Distribution]] = defaultdict(list)
    for distribution in examination.environment.distributions:
        by_name[distribution.name].append(distribution)
        if distribution.problems:
            yield _damaged(examination, distribution)
    for name, copies in by_name.items():
        if len(copies) > 1:
            yield _installed_twice(examination, name, copies)


def _damaged(examination: Examination, distribution: Distribution) -> Finding:
    remedy, remedy_commands = _remedy(examination, distribution)
    return Finding(
        id="VC003",
        severity=_severity(examination, distribution.name),
        message=f"the installation of {distribution.name} is damaged",
        evidence=distribution.problems,
        remedy=remedy,
        commands=remedy_commands,
        url=_URL,
        path=distribution.path,
        packages=(distribution.name,),
    )


def _remedy(examination: Examination, distribution: Distribution) -> tuple[str, tuple[str, ...]]:
    """Return the remedy and its commands. An unpinned command could install a version that does not fit the rest."""
    name = distribution.name
    if advice.is_planned(examination, name):
        return advice.change_versions(examination)
    version = distribution.version or distribution.named_version
    requirement = f"{name}=={version}" if version else name
    return f"Install {requirement} again.", (commands.reinstall(examination.environment, [requirement]),)


def _installed_twice(examination: Examination, name: str, copies: list[Distribution]) -> Finding:
    are_in_one_folder = len({PurePath(copy.path).parent for copy in copies}) < len(copies)
    first, second = copies[:2]
    if are_in_one_folder:
        message = f"{name} is installed twice in one folder, as {first.version} and {second.version}"
        severity = _severity(examination, name)
    else:
        # A venv with system packages has this on purpose, and Python imports the first copy.
        message = f"{name} {first.version} hides {name} {second.version}, which is later on the import path"
        severity = Severity.NOTE
    return Finding(
        id="VC003",
        severity=severity,
        message=message,
        evidence=tuple(f"{name} {copy.version} in {copy.path}" for copy in copies),
        remedy="Remove the copy that you do not want, then reinstall the other one.",
        commands=(_reinstall(examination, f"{name}=={first.version}" if first.version else name),),
        url=_URL,
        path=second.path,
        packages=(name,),
    )


def _reinstall(examination: Examination, requirement: str) -> str:
    interpreter = examination.environment.interpreter
    option = "--force-reinstall" if interpreter.has_pip else "--reinstall"
    return commands.install(interpreter, [requirement], option, "--no-deps")


def _severity(examination: Examination, name: str) -> Severity:
    return advice.severity_for(examination, name, elsewhere=Severity.WARNING)
