"""Installed packages that use what the installed training packages lack: gliner, sentence-transformers, setfit, ...

The matrix judges the training stack. Trainers that other packages build upon it fail by the same changes: a name that
transformers removed, a method of its Trainer that is called with a new argument. Their code is read, as code that is
linted is; nothing of it is imported.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from vc2doctor.core.data import Data
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.environment.requirements import is_of_extra, parsed

BASES = ("transformers", "peft", "trl", "accelerate")
"""Packages whose changes break what is built upon them."""
MAX_CODE_BYTES = 8 * 1024 * 1024
"""Python code of one package that is read. sentence-transformers has 2 MB; a larger package is a library of models."""


class DependentConflict(Data):
    """One use in an installed package of something that an installed training package lacks."""

    distribution: str
    version: str
    package: str
    """The training package."""
    installed: str
    """Its version."""
    description: str
    """What is missing, as the end of a sentence: ``does not have transformers.trainer.X: 4.53.0 removed it``."""
    works_with: str
    """The releases of ``package`` with it that are nearest to the installed one, as a specifier."""
    path: str
    line: int


def conflicts(environment: Environment, modeled: Collection[str]) -> tuple[DependentConflict, ...]:
    """Return what installed packages use and the installed releases lack; the ``modeled`` ones are judged elsewhere.

    Only what certainly runs counts: imports at the top of a module, and methods that a trainer calls.
    """
    versions = environment.versions
    installed = {name: versions[name] for name in BASES if name in versions}
    found: list[DependentConflict] = []
    for distribution in environment.distributions:
        declared = _declared(distribution, installed)
        folder = _folder(distribution) if declared and distribution.name not in modeled else None
        if folder is not None:
            # Most environments have no such package, and need no linter for it.
            from vc2doctor.linter.analyse.dependent_uses import uses_that_fail  # noqa: PLC0415

            found += [
                DependentConflict(
                    distribution=distribution.name,
                    version=distribution.version or "",
                    package=use.package,
                    installed=installed[use.package],
                    description=use.description,
                    works_with=use.works_with,
                    path=f"{folder.name}/{use.file}",
                    line=use.line,
                )
                for use in uses_that_fail(folder, installed, declared)
            ]
    return tuple(found)


def _declared(distribution: Distribution, installed: Mapping[str, str]) -> dict[str, str]:
    """Return the specifiers with which a package requires ``installed`` training packages, outside of extras."""
    found: dict[str, str] = {}
    for requirement in filter(None, map(parsed, distribution.requires)):
        name = canonicalize_name(requirement.name)
        if name in installed and not is_of_extra(requirement):
            found[name] = str(requirement.specifier)
    return found


def _folder(distribution: Distribution) -> Path | None:
    """Return the folder of the import package that is called like its distribution; ``None``: there is none."""
    folder = Path(distribution.path).parent / distribution.name.replace("-", "_")
    try:
        size = sum(path.stat().st_size for path in folder.rglob("*.py"))
    except OSError:
        return None
    return folder if 0 < size <= MAX_CODE_BYTES else None
