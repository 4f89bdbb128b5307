"""A file or folder of the current directory is imported instead of a package.

A script started here has this directory first on its path: a ``torch.py`` or a folder ``transformers`` beside it wins
over the installed package. The probe starts elsewhere and would not see it, so it is looked for by name.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find modules of the stack that the current directory shadows."""
    for shadow in examination.environment.shadows:
        module = examination.environment.module(shadow.module)
        behind = module.origin if module is not None else None
        if behind is not None and behind.startswith(shadow.path):
            # An editable checkout of the package itself: it is what is installed.
            continue
        yield Finding(
            id="VC002",
            severity=Severity.ERROR,
            message=f"a script started in this directory imports {shadow.path} instead of the package {shadow.module}",
            evidence=(f"the installed {shadow.module} is {behind or 'not there'}",),
            remedy="Rename it, or start the training from another directory.",
            url="https://docs.python.org/3/library/sys_path_init.html",
            path=shadow.path,
        )
