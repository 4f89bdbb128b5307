"""What installed packages declare that they need, or that they can use."""

import re
from collections.abc import Iterable, Iterator
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
        for requirement in _requirements(distribution.requires if distribution else ()):
            extras = _EXTRA.findall(str(requirement.marker)) if requirement.marker else []
            name = canonicalize_name(requirement.name)
            if not extras:
                needed.add(name)
            elif any(_DEVELOPMENT.isdisjoint(re.split(r"[-_.]", extra.lower())) for extra in extras):
                optional.add(name)
    return DeclaredNames(frozenset(needed), frozenset(optional - needed))


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:  # noqa: PERF203 - one that cannot be read must not hide the others
            # VC004 reports what cannot be read.
            continue
