"""What installed packages declare that they need, or that they can use."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.environment.model import Environment

_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
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
        for requirement in filter(None, map(parsed, distribution.requires if distribution else ())):
            extras = _EXTRA.findall(str(requirement.marker)) if requirement.marker else []
            name = canonicalize_name(requirement.name)
            if not extras:
                needed.add(name)
            elif any(_DEVELOPMENT.isdisjoint(re.split(r"[-_.]", extra.lower())) for extra in extras):
                optional.add(name)
    return DeclaredNames(frozenset(needed), frozenset(optional - needed))


@lru_cache(maxsize=8192)
def parsed(text: str) -> Requirement | None:
    """Return a declared requirement; ``None``: it cannot be read, which VC004 reports."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def is_of_extra(requirement: Requirement) -> bool:
    """Return whether a requirement belongs to an extra."""
    return requirement.marker is not None and "extra" in str(requirement.marker)
