"""What the released wheels say, as data: ``matrices/releases.json``, written by ``nox -s wheels``."""

from itertools import groupby
from pathlib import Path
from typing import Literal

from packaging.version import Version
from pydantic import Field, ValidationError

from vc2doctor.core.data import Data
from vc2doctor.matrix.load import MatrixError

Runs = tuple[tuple[str, str], ...]
"""First and last of consecutive releases."""


class Release(Data):
    """One release."""

    date: str
    """Of its first file: ``2026-11-24``."""
    python: str = ""
    """What it says of the Python that it needs."""
    built_for: tuple[str, ...] = ()
    """Minor Pythons with a Linux x86-64 wheel; empty where one wheel serves all."""
    requires: dict[str, str] = Field(default_factory=dict)
    """What it declares of packages that matter here, without extras."""
    yanked: bool = False


class RequiredSymbol(Data):
    """A symbol that releases of ``package`` import without condition when they are imported."""

    package: str
    module: str
    symbol: str
    """Empty where the module as such is imported."""
    file: str
    """That imports it, in the newest of the releases."""
    releases: Runs

    @property
    def of(self) -> str:
        """The distribution that has to have it."""
        return self.module.partition(".")[0].replace("_", "-")


class ProvidedSymbol(Data):
    """Releases of ``package`` in which ``from module import symbol`` finds something."""

    package: str
    module: str
    symbol: str
    releases: Runs


class Wheels(Data):
    """What reading the wheels gave."""

    schema_: Literal[1] = 1
    date: str
    releases: dict[str, dict[str, Release]]
    required: tuple[RequiredSymbol, ...]
    """Those that some release of the other package does not meet."""
    provided: tuple[ProvidedSymbol, ...]

    def ordered(self, package: str) -> tuple[str, ...]:
        """Return the releases of ``package``, oldest version first."""
        return tuple(sorted(self.releases.get(package, {}), key=Version))


def read(path: Path) -> Wheels:
    """Return what is in the file at ``path``; nothing, where there is no file.

    Raises:
        MatrixError: it holds something else.
    """
    if not path.exists():
        return Wheels(date="", releases={}, required=(), provided=())
    try:
        return Wheels.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        message = f"{path}: not what `nox -s wheels` writes: {error}"
        raise MatrixError(message) from error


def runs(chosen: set[str], ordered: tuple[str, ...]) -> Runs:
    """Return ``chosen`` as runs of consecutive releases."""
    found = []
    for inside, group in groupby(ordered, key=chosen.__contains__):
        members = list(group)
        if inside:
            found.append((members[0], members[-1]))
    return tuple(found)


def members(ranges: Runs, ordered: tuple[str, ...]) -> set[str]:
    """Return the releases in ``ranges``."""
    return {text for text in ordered if any(Version(first) <= Version(text) <= Version(last) for first, last in ranges)}


def specifier(run: tuple[str, str], ordered: tuple[str, ...]) -> str:
    """Return a run as a specifier: open towards the side where nothing else is known."""
    first, last = run
    if first == last and first not in (ordered[0], ordered[-1]):
        return f"=={first}"
    low = "" if first == ordered[0] else f">={first}"
    high = "" if last == ordered[-1] else f"<={last}"
    return ",".join(side for side in (low, high) if side)
