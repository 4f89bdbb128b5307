"""The imported version of a package is not the installed version.

The metadata names one version, and the imported module another. Reasons are a second copy of the package, an upgrade
that was not completed, or an environment variable such as PYTHONPATH.

Why it matters: every conclusion from the installed versions is then about the wrong package. For an editable checkout
that was updated and not reinstalled, the finding is a note.

What to do: remove the other copy, then reinstall the package.
"""

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands


def check(examination: Examination) -> Iterator[Finding]:
    """Find imported versions that differ from the metadata."""
    for imported in examination.probe.imports if examination.probe else ():
        installed = examination.versions.get(imported.package)
        if installed is None or _agree(installed, imported.version):
            continue
        distribution = examination.environment.distribution(imported.package)
        is_editable = distribution is not None and distribution.editable
        remedy, remedy_commands = _remedy(examination, f"{imported.package}=={Version(installed).public}")
        yield Finding(
            id="VC016",
            severity=Severity.NOTE if is_editable else Severity.ERROR,
            message=f"{imported.package} {installed} is installed, but {imported.version} is imported",
            evidence=(f"imported from {imported.file or 'an unknown place'}",),
            remedy=f"Remove the other copy (check PYTHONPATH). Then: {remedy}",
            commands=remedy_commands,
            url="https://docs.python.org/3/using/cmdline.html#envvar-PYTHONPATH",
            path=imported.file,
            packages=(imported.package,),
        )


def _remedy(examination: Examination, requirement: str) -> tuple[str, tuple[str, ...]]:
    if not examination.version_plan.is_solved:
        return advice.change_versions(examination)
    return f"Install {requirement} again.", (commands.reinstall(examination.environment, [requirement]),)


def _agree(installed: str, imported: str) -> bool:
    # Builds of one release have different local parts (+cpu, +cu128), and some modules leave the part out.
    try:
        return Version(Version(installed).public).base_version == Version(imported).base_version
    except InvalidVersion:
        return False
