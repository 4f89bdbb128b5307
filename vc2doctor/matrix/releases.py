"""The facts of the released wheels: ``matrices/releases.json``, written by ``nox -s wheels``."""

from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import Field, ValidationError

from vc2doctor.core import reading
from vc2doctor.core.data import Data
from vc2doctor.core.versions import version
from vc2doctor.matrix.errors import MatrixError, reason_of
from vc2doctor.target.doors import LOOP

ReleaseRange = tuple[str, str]
"""First and last of some consecutive releases."""

RESULT_END = "() -> bool"
"""After a function in the symbol that stands for its result, used as a truth value."""
DISTRIBUTIONS = {"pkg_resources": "setuptools"}
"""Distributions by import package, where the names differ."""


def distribution(module: str) -> str:
    """Return the distribution that contains a module."""
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top.replace("_", "-"))


class Release(Data):
    """One release of a package."""

    date: str
    """Upload date of its first file: ``2026-11-24``."""
    python: str = ""
    """Its ``Requires-Python``."""
    built_for: tuple[str, ...] = ()
    """Minor versions of Python that have a Linux x86-64 wheel; empty: one wheel serves all of them."""
    requires: dict[str, str] = Field(default_factory=dict)
    """Specifiers that it declares for packages of the matrix, without extras."""
    yanked: bool = False
    build: str = ""
    """The build of torch that its Linux x86-64 wheel is compiled for, such as ``cu130``; empty: none, or not read."""

    def supports(self, python: str) -> bool:
        """Return whether this release can be installed under a minor version of Python, such as ``3.11``."""
        return self.allows(python) and (not self.built_for or python in self.built_for)

    def allows(self, python: str) -> bool:
        """Return whether ``Requires-Python`` admits a minor version of Python."""
        # 3.8.99 stands for the newest patch release of Python 3.8: it matches >=3.8.1.
        return not self.python or SpecifierSet(self.python).contains(f"{python}.99")


class RequiredSymbol(Data):
    """A symbol that releases of ``package`` import, or read as an attribute, when a door leads into them."""

    package: str
    module: str
    symbol: str
    """Empty if the module itself is imported. With dots: an attribute of a module inside ``module``."""
    file: str
    """The file that imports it, in the newest of the releases."""
    releases: tuple[ReleaseRange, ...]
    door: str = LOOP
    """The door that needs it. What the loop needs concerns every door."""
    is_attribute: bool = False
    """Whether it is read as an attribute (``torch.float8_e8m0fnu``) instead of imported."""
    when: dict[str, str] = Field(default_factory=dict)
    """Specifiers of further packages: it is needed only if they are installed in such a version."""

    @property
    def provider(self) -> str:
        """The distribution that must provide the symbol."""
        return distribution(self.module)


class Refusal(Data):
    """Versions of other packages with which releases of ``package`` raise an exception."""

    package: str
    when: dict[str, str]
    file: str
    """The file that compares the versions, in the newest of the releases."""
    releases: tuple[ReleaseRange, ...]
    door: str = LOOP


class ProvidedSymbol(Data):
    """Releases of ``package`` in which ``from module import symbol`` succeeds."""

    package: str
    module: str
    symbol: str
    releases: tuple[ReleaseRange, ...]


class Wheels(Data):
    """The content of ``releases.json``."""

    schema_: Literal[2] = 2
    date: str
    releases: dict[str, dict[str, Release]]
    """By package and version."""
    required: tuple[RequiredSymbol, ...]
    """Only symbols that some release of their provider lacks."""
    provided: tuple[ProvidedSymbol, ...]
    refusals: tuple[Refusal, ...] = ()

    def release(self, package: str, text: str) -> Release | None:
        """Return what is known about a release, however its version is written: ``2.1`` and ``2.1.0+cpu`` are 2.1.0."""
        known = self.releases.get(package)
        if known is None:
            return None
        public = version(text)
        exact = known.get(str(public))
        return exact if exact is not None else self._by_version[package].get(public)

    @cached_property
    def _by_version(self) -> dict[str, dict[Version, Release]]:
        return {
            package: {Version(text): release for text, release in releases.items()}
            for package, releases in self.releases.items()
        }

    def ordered(self, package: str) -> tuple[str, ...]:
        """Return the releases of ``package``, the oldest version first."""
        return tuple(sorted(self.releases.get(package, {}), key=Version))


NO_WHEELS = Wheels(date="", releases={}, required=(), provided=())
"""The content of a file that does not exist: no release is known."""


def read(path: Path) -> Wheels:
    """Return the content of the file at ``path``; empty if there is no file.

    Raises:
        MatrixError: the file holds something else.
    """
    if not path.exists():
        return NO_WHEELS
    try:
        return Wheels.model_validate_json(reading.read_bytes(path))
    except (reading.ReadError, ValidationError) as error:
        message = f"{path}: the file is not one that `nox -s wheels` wrote: {reason_of(error)}"
        raise MatrixError(message) from error


def to_ranges(selected: set[str], ordered: tuple[str, ...]) -> tuple[ReleaseRange, ...]:
    """Return ``selected`` releases as ranges of consecutive ones among all releases in order."""
    ranges = []
    for is_selected, group in groupby(ordered, key=selected.__contains__):
        releases = list(group)
        if is_selected:
            ranges.append((releases[0], releases[-1]))
    return tuple(ranges)


def in_ranges(ranges: tuple[ReleaseRange, ...], ordered: tuple[str, ...]) -> set[str]:
    """Return the releases that lie in one of ``ranges``."""
    return {text for text in ordered if any(Version(first) <= Version(text) <= Version(last) for first, last in ranges)}


def range_specifier(release_range: ReleaseRange, ordered: tuple[str, ...]) -> str:
    """Return the specifier of a range of releases.

    A range that begins with the oldest known release has no lower bound, and one that ends with the newest has no upper
    bound: older and newer releases most likely behave like those.
    """
    first, last = release_range
    if first == last and first not in (ordered[0], ordered[-1]):
        return f"=={first}"
    lower = "" if first == ordered[0] else f">={first}"
    upper = "" if last == ordered[-1] else f"<={last}"
    return ",".join(bound for bound in (lower, upper) if bound)
