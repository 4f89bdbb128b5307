"""Versions and specifiers: parsed once, compared in one place."""

from collections.abc import Mapping
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

STACK_PACKAGES = ("torch", "transformers", "peft")
"""The packages of the stack."""


ABSENT = "absent"
"""In place of a specifier: the distribution is not installed."""


def holds(when: Mapping[str, str], versions: Mapping[str, str]) -> bool:
    """Return whether every specifier of ``when`` holds for ``versions``; of what is not there, only ``absent`` does."""
    # A plain loop: this is what thousands of judgements spend their time in.
    for name, wanted in when.items():
        if wanted == ABSENT:
            if name in versions:
                return False
        elif name not in versions or not contains(wanted, versions[name]):
            return False
    return True


@lru_cache(maxsize=65536)
def version(text: str) -> Version:
    """Return the public part of a version, parsed once."""
    return Version(Version(text).public)


@lru_cache(maxsize=4096)
def specifier(text: str) -> SpecifierSet:
    """Return a specifier set, parsed once."""
    return SpecifierSet(text)


def side_of(found: Version, first: Version, last: Version) -> str:
    """Return on which side of a range a version lies, or nothing: a patch release lies where its minor release does."""
    if found < first and found.release[:2] != first.release[:2]:
        return "older"
    return "newer" if found > last and found.release[:2] != last.release[:2] else ""


def grained(name: str, found: Version) -> Version:
    """Return a version as finely as it matters: patch releases of torch change no interface."""
    return Version(f"{found.major}.{found.minor}") if name == "torch" else found


@lru_cache(maxsize=262144)
def contains(wanted: str, found: str) -> bool:
    """Return whether the specifier ``wanted`` holds for the version ``found``, pre-releases as well."""
    return specifier(wanted).contains(version(found), prereleases=True)


def older(text: str | None, than: str) -> bool:
    """Return whether a version is known, and older than another."""
    try:
        return text is not None and Version(text) < Version(than)
    except InvalidVersion:
        return False
