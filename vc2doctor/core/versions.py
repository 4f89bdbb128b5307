"""Parse and compare versions and specifiers. Everything is cached: a batch compares the same few texts many times."""

from collections.abc import Mapping
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

ADAPTERS = "peft"
"""The package of the stack that training without adapters does not need."""
STACK_PACKAGES = ("torch", "transformers", ADAPTERS)
"""The packages without which there is nothing to train with. The matrix is measured along these three."""

MAX_VERSION_LENGTH = 200
"""Characters of a version or specifier that is read at all. The longest of released packages have about 60, and Python
refuses to convert numbers of more than 4,300 digits with an exception that is not the one of ``packaging``."""
MAX_REQUIREMENT_LENGTH = 1000
"""The same for a requirement, whose markers can be long."""

ABSENT = "absent"
"""Stands in place of a specifier and means that the distribution is not installed."""


def holds(when: Mapping[str, str], versions: Mapping[str, str]) -> bool:
    """Return whether ``versions`` meet every specifier of ``when``.

    A distribution that is not installed meets ``absent`` only.
    """
    # A plain loop, because judging thousands of combinations spends most of its time here.
    for name, specifier_text in when.items():
        if specifier_text == ABSENT:
            if name in versions:
                return False
        elif name not in versions or not contains(specifier_text, versions[name]):
            return False
    return True


@lru_cache(maxsize=65536)
def version(text: str) -> Version:
    """Return the public part of a version: ``2.5.1`` for ``2.5.1+cu124``."""
    return Version(Version(text).public)


@lru_cache(maxsize=4096)
def specifier(text: str) -> SpecifierSet:
    """Return the specifier set that ``text`` describes."""
    return SpecifierSet(text)


def side_of(candidate: Version, first: Version, last: Version) -> str:
    """Return ``older`` or ``newer`` if ``candidate`` lies outside of ``first`` to ``last``, else an empty string.

    A patch release counts as inside if its minor release is one of the two ends.
    """
    if candidate < first and candidate.release[:2] != first.release[:2]:
        return "older"
    return "newer" if candidate > last and candidate.release[:2] != last.release[:2] else ""


def interface_version(name: str, release: Version) -> Version:
    """Return the part of a version that interfaces depend on: patch releases of torch change no interface."""
    return Version(f"{release.major}.{release.minor}") if name == "torch" else release


@lru_cache(maxsize=262144)
def contains(specifier_text: str, version_text: str) -> bool:
    """Return whether a version meets a specifier; pre-releases count."""
    return specifier(specifier_text).contains(version(version_text), prereleases=True)


def exact(specifier_text: str) -> str | None:
    """Return the version that a specifier pins; ``None``: it allows several releases."""
    clauses = list(specifier(specifier_text))
    is_exact = len(clauses) == 1 and clauses[0].operator == "==" and not clauses[0].version.endswith("*")
    return clauses[0].version if is_exact else None


def older(text: str | None, than: str) -> bool:
    """Return whether the version ``text`` is older than ``than``; ``False`` if it is ``None`` or not a version."""
    try:
        return text is not None and Version(text) < Version(than)
    except InvalidVersion:
        return False
