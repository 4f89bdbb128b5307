"""An installation is damaged: metadata missing, RECORD unreadable, files lost, or one package installed twice.

It comes of an interrupted or doubled ``pip install``, or of two tools that manage one environment. What pip lists and
what Python imports then differ. For a package of the stack, or one that the stack leans on, that is an error; a
warning, where the probe trained all the same.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePath

from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import COMPANION_PACKAGES, STACK_PACKAGES, Distribution
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands

_URL = "https://packaging.python.org/en/latest/specifications/recording-installed-packages/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find damaged and doubled installations."""
    by_name: dict[str, list[Distribution]] = defaultdict(list)
    for distribution in examination.environment.distributions:
        by_name[distribution.name].append(distribution)
        if distribution.problems:
            yield _damaged(examination, distribution)
    for name, found in by_name.items():
        if len(found) > 1:
            yield _doubled(examination, name, found)


def _damaged(examination: Examination, distribution: Distribution) -> Finding:
    version = f"=={distribution.version}" if distribution.version else ""
    return Finding(
        id="VC003",
        severity=_severity(examination, distribution.name),
        message=f"the installation of {distribution.name} is damaged",
        evidence=distribution.problems,
        remedy="Install it anew.",
        commands=(_anew(examination, f"{distribution.name}{version}"),),
        url=_URL,
        path=distribution.path,
    )


def _doubled(examination: Examination, name: str, found: list[Distribution]) -> Finding:
    in_one_folder = len({PurePath(distribution.path).parent for distribution in found}) < len(found)
    first, second = found[:2]
    evidence = tuple(f"{name} {distribution.version} in {distribution.path}" for distribution in found)
    if in_one_folder:
        message = f"{name} is installed twice in one folder, as {first.version} and {second.version}"
        severity = _severity(examination, name)
    else:
        message = f"{name} {first.version} hides {name} {second.version} further down the path"
        severity = Severity.NOTE
    return Finding(
        id="VC003",
        severity=severity,
        message=message,
        evidence=evidence,
        remedy="Remove the one that is not wanted, then install the other anew.",
        commands=(_anew(examination, f"{name}=={first.version}" if first.version else name),),
        url=_URL,
        path=second.path,
    )


def _anew(examination: Examination, requirement: str) -> str:
    option = "--force-reinstall" if examination.environment.interpreter.has_pip else "--reinstall"
    return commands.install(examination.environment.interpreter, [requirement], option, "--no-deps")


def _severity(examination: Examination, name: str) -> Severity:
    return (
        examination.capped_if_trained(Severity.ERROR)
        if name in (*STACK_PACKAGES, *COMPANION_PACKAGES)
        else Severity.WARNING
    )
