"""The version that is imported is not the one that is installed.

Metadata says one version, the imported module another: a shadowing copy, a half-finished upgrade, or an environment
variable such as PYTHONPATH. Everything concluded from versions is then about the wrong package. An editable checkout
that moved on without being installed anew is a note.
"""

from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands


def check(examination: Examination) -> Iterator[Finding]:
    """Find imported versions that disagree with the metadata."""
    for imported in examination.probe.imports if examination.probe else ():
        installed = examination.versions.get(imported.package)
        if installed is None or _agree(installed, imported.version):
            continue
        source = examination.environment.distribution(imported.package)
        editable = source is not None and source.editable
        requirement = f"{imported.package}=={Version(installed).public}"
        yield Finding(
            id="VC016",
            severity=Severity.NOTE if editable else Severity.ERROR,
            message=f"{imported.package} {installed} is installed, and {imported.version} is imported",
            evidence=(f"imported from {imported.file or 'an unknown place'}",),
            remedy="Remove the other copy (look at PYTHONPATH), then install it anew.",
            commands=(commands.install(examination.environment.interpreter, [requirement]),),
            url="https://docs.python.org/3/using/cmdline.html#envvar-PYTHONPATH",
            path=imported.file,
        )


def _agree(installed: str, imported: str) -> bool:
    # The local part differs between builds, and some leave it out.
    try:
        return Version(Version(installed).public).base_version == Version(imported).base_version
    except InvalidVersion:
        return False
