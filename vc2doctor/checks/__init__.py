"""The judgement: one file a check, each a pure function from an examination to findings.

A check is a module ``vcNNN_name`` with a function ``check``. Its docstring is its reference page: what it finds,
why that matters, what to do. Adding the file is all that is needed.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.checks.examination import Examination
from vc2doctor.findings import Finding

Check = Callable[[Examination], Iterator[Finding]]

_NAME = re.compile(r"vc\d{3}_\w+")


def modules() -> tuple[ModuleType, ...]:
    """Return every check's module, by number."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if _NAME.fullmatch(found.name))
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


def pages() -> dict[str, str]:
    """Return the page of every check, by id."""
    return {
        f"VC{module.__name__.rsplit('.', 1)[1][2:5]}": inspect.cleandoc(module.__doc__ or "") for module in modules()
    }


def run(examination: Examination) -> tuple[Finding, ...]:
    """Return what all checks and the linter find, the heaviest first, then by id."""
    found: list[Finding] = [*examination.code]
    for module in modules():
        check: Check = module.check
        found.extend(check(examination))
    return tuple(sorted(found, key=lambda finding: (-finding.severity.rank, finding.id)))
