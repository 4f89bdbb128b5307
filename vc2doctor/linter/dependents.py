"""Installed packages that use what the installed training packages lack: gliner, sentence-transformers, setfit, ...

The matrix judges the training stack. Trainers that other packages build upon it fail by the same changes: a name that
transformers removed, a method of its Trainer that is called with a new argument. Their code is read, as code that is
linted is; nothing of it is imported.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from vc2doctor.core import reading
from vc2doctor.core.data import Data
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.environment.requirements import is_of_extra, parsed, required_name

BASES = ("transformers", "peft", "trl", "accelerate")
"""Packages whose changes break what is built upon them."""
MAX_RECORD_BYTES = 4 * 1024 * 1024
_NOT_IMPORTED = {"tests", "test", "docs", "doc", "examples", "example", "benchmarks", "scripts"}
"""Folders that some distributions install beside their import packages by mistake."""
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
    imported_by: tuple[str, ...] = ()
    """The modules whose import fails, by their full names; empty: it fails later."""
    owner: str = ""
    """The class in whose method it fails; empty: it is in none."""

    def is_met_by(self, imports: Collection[str]) -> bool:
        """Return whether code that imports these names (``module:name``) meets it: the package, or the class in it."""
        root = self.path.partition("/")[0]
        pairs = [(module, name) for module, _, name in (each.partition(":") for each in imports)]
        pairs = [(module, name) for module, name in pairs if module.partition(".")[0] == root]
        if not self.imported_by:
            return bool(self.owner) and any(name == self.owner for _, name in pairs)
        # Whoever imports a.b imports a first, and `from a import b` can mean the module a.b.
        read = {part for module, name in pairs for part in (*_with_parents(module), f"{module}.{name}")}
        return not read.isdisjoint(self.imported_by)


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def conflicts(environment: Environment, modeled: Collection[str]) -> tuple[DependentConflict, ...]:
    """Return what installed packages use and the installed releases lack; the ``modeled`` ones are judged elsewhere.

    Only what certainly runs counts: imports at the top of a module, methods that a trainer calls, and what methods of
    trainers and of their arguments use that each training runs.
    """
    versions = environment.versions
    installed = {name: versions[name] for name in BASES if name in versions}
    found: list[DependentConflict] = []
    for distribution in environment.distributions:
        declared = _declared(distribution, installed)
        folders = _folders(distribution) if declared and distribution.name not in modeled else ()
        for folder in folders:
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
                    imported_by=use.imported_by,
                    owner=use.owner,
                )
                for use in uses_that_fail(folder, installed, declared)
            ]
    return tuple(found)


def _declared(distribution: Distribution, installed: Mapping[str, str]) -> dict[str, str]:
    """Return the specifiers with which a package requires ``installed`` training packages, outside of extras."""
    found: dict[str, str] = {}
    for text in distribution.requires:
        name = required_name(text)
        # Most requirements are for other packages, and need not be parsed.
        requirement = parsed(text) if name in installed else None
        if requirement is not None and name is not None and not is_of_extra(requirement):
            found[name] = str(requirement.specifier)
    return found


def _folders(distribution: Distribution) -> tuple[Path, ...]:
    """Return the folders of the import packages of a distribution; none if their code is too large."""
    site_packages = Path(distribution.path).parent
    folders = tuple(site_packages / name for name in sorted(_import_names(Path(distribution.path), distribution.name)))
    try:
        size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*.py"))
    except OSError:
        return ()
    return tuple(folder for folder in folders if folder.is_dir()) if 0 < size <= MAX_CODE_BYTES else ()


def _import_names(metadata: Path, distribution: str) -> set[str]:
    """Return the names of the import packages that a distribution installs, by its list of files.

    Without a list that can be read, it is the name of the distribution: colbert-ai installs ``colbert``.
    """
    try:
        rows = reading.read_text(metadata / "RECORD", MAX_RECORD_BYTES).splitlines()
    except reading.ReadError:
        rows = []
    paths = [row.partition(",")[0] for row in rows]
    names = {path.partition("/")[0] for path in paths if path.endswith(".py") and "/" in path}
    own = {name for name in names if name.isidentifier() and name not in _NOT_IMPORTED}
    return own or {distribution.replace("-", "_")}
