"""What installed packages declare that they need, or that they can use."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, is_normalized_name

from vc2doctor.environment.model import Environment

_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
_OF_ONE_EXTRA = re.compile(
    r"""\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[\w\s.,-]*\])?\s*\(?"""
    r"""(?:(?:[<>=!~]=|[<>])\s*[\w.*+!-]+[\s,]*)*\)?\s*;\s*extra\s*==\s*["']([\w.-]+)["']\s*"""
)
"""The form that most requirements of extras have. It says which package belongs to which extra, 40 times faster than
packaging: transformers alone declares some 400 of them, and few apply."""
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_DEVELOPMENT = frozenset({"benchmark", "dev", "doc", "docs", "lint", "quality", "style", "test", "testing", "tests"})
"""Parts of the names of extras whose packages are for working on a package, not with it."""


class DeclaredNames(NamedTuple):
    """The canonical names of packages that some packages declare."""

    needed: frozenset[str]
    optional: frozenset[str]
    """Those of extras, except the extras for development."""


def declared_names(environment: Environment, packages: Iterable[str]) -> DeclaredNames:
    """Return what the installed ones of ``packages`` declare, installed or not."""
    needed, optional = set(), set()
    for package in packages:
        distribution = environment.distribution(package)
        for name, extras in _names_and_extras(distribution.requires if distribution else ()):
            if not extras:
                needed.add(name)
            elif any(_DEVELOPMENT.isdisjoint(re.split(r"[-_.]", extra.lower())) for extra in extras):
                optional.add(name)
    return DeclaredNames(frozenset(needed), frozenset(optional - needed))


def _names_and_extras(texts: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the canonical name in each requirement, and the extras that it belongs to."""
    for text in texts:
        match = _OF_ONE_EXTRA.fullmatch(text)
        if match:
            yield canonicalize_name(match[1]), [match[2]]
        elif (requirement := parsed(text)) is not None:
            extras = _EXTRA.findall(str(requirement.marker)) if requirement.marker else []
            yield canonicalize_name(requirement.name), extras


def only_extra(text: str) -> str | None:
    """Return the canonical name of the extra that a requirement belongs to, if that is all that its marker says."""
    match = _OF_ONE_EXTRA.fullmatch(text)
    return canonicalize_name(match[2]) if match else None


def required_name(text: str) -> str | None:
    """Return the canonical name that a requirement begins with; ``None``: it begins with none, so it is none."""
    match = _NAME.match(text)
    return canonicalize_name(match[1]) if match else None


@lru_cache(maxsize=8192)
def parsed(text: str) -> Requirement | None:
    """Return a declared requirement; ``None``: it cannot be read, which VC004 reports."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    # packaging takes `0_`, whose canonical name `0-` no installer takes.
    return requirement if is_normalized_name(canonicalize_name(requirement.name)) else None


def is_of_extra(requirement: Requirement) -> bool:
    """Return whether a requirement belongs to an extra."""
    return requirement.marker is not None and "extra" in str(requirement.marker)
