"""A file or folder of the working directory is imported instead of a package.

This check looks in the working directory for names such as ``torch.py`` or a folder ``transformers``.

Why it matters: Python searches the folder of a script first. A training script that is started here imports such a
file instead of the installed package. The probe starts in another folder, so it would not notice.

What to do: rename the file or folder, or start the training from another directory.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find modules of the stack that the working directory shadows."""
    for shadow in examination.environment.shadows:
        module = examination.environment.module(shadow.module)
        installed_at = module.origin if module is not None else None
        if installed_at is not None and installed_at.startswith(shadow.path):
            # The folder is an editable checkout, so it is the installed package.
            continue
        place = f"the installed {shadow.module} is at {installed_at}"
        yield Finding(
            id="VC002",
            severity=Severity.ERROR,
            message=f"a script started in this directory imports {shadow.path} instead of the package {shadow.module}",
            evidence=(place if installed_at else f"the package {shadow.module} is not installed",),
            remedy=f"Rename {shadow.path}, or start the training from another directory.",
            url="https://docs.python.org/3/library/sys_path_init.html",
            path=shadow.path,
        )
