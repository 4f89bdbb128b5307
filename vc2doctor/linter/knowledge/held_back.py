"""Releases of a package that another pin holds back: ``tokenizers==0.12.1`` allows no transformers after 4.33.

What a release requires is in ``matrices/releases.json``, which ``nox -s wheels`` reads from the wheels.
"""

from collections.abc import Mapping
from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from vc2doctor.core.versions import ABSENT, holds
from vc2doctor.linter.knowledge.api_table import PackageTable
from vc2doctor.matrix import load, releases

PARTNERS = ("tokenizers", "huggingface-hub", "accelerate", "safetensors", "transformers", "torch")
"""Packages whose exact pins hold others back, because those require a range of them."""


def bits_with(package: PackageTable, pins: Mapping[str, str]) -> int:
    """Return the releases of a package that the exact versions of other packages allow, as bits of its table.

    A release whose requirements are not known is allowed.
    """
    if not pins:
        return package.everything
    known = _requirements(package.name)
    return sum(
        1 << position
        for position, text in enumerate(package.releases)
        if all(_allows(known.get(text, {}).get(name, ""), pin) for name, pin in pins.items())
    )


def bits_in_known_issues(package: PackageTable, pins: Mapping[str, str]) -> int:
    """Return the releases of a package that have a known issue together with exact versions of others, as bits.

    Issues of single doors do not count: which of them the code goes through is not known here.
    """
    pairs = [when for when in _conditions() if _is_of_versions(when, package.name)]
    return sum(
        1 << position
        for position, text in enumerate(package.releases)
        if any(holds(when, {**pins, package.name: text}) for when in pairs)
    )


@lru_cache(maxsize=1)
def _conditions() -> tuple[Mapping[str, str], ...]:
    """Return the conditions of the known issues that concern every training."""
    issues = load.known_issues(load.shipped())
    return tuple(when for issue in issues if issue.severity != "note" and not issue.doors for when in issue.when)


def _is_of_versions(when: Mapping[str, str], package: str) -> bool:
    """Return whether a condition is about versions of a package and of others, none of which is absent."""
    return package in when and len(when) > 1 and ABSENT not in when.values()


@lru_cache(maxsize=8)
def _requirements(package: str) -> Mapping[str, Mapping[str, str]]:
    wheels = releases.read(load.shipped() / "releases.json")
    return {text: release.requires for text, release in wheels.releases.get(package, {}).items()}


def _allows(specifier: str, pin: str) -> bool:
    try:
        return SpecifierSet(specifier, prereleases=True).contains(Version(pin))
    except (InvalidSpecifier, InvalidVersion):
        return True
