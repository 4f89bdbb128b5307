"""Requirements that the installed packages declare, as far as they apply in the target."""

import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vc2doctor.core.versions import contains
from vc2doctor.environment.model import Distribution, Environment
from vc2doctor.environment.requirements import is_of_extra, only_extra, parsed


class DeclaredRequirement(NamedTuple):
    """One requirement of an installed package."""

    distribution: Distribution
    """The package that declares it."""
    requirement: Requirement

    @property
    def name(self) -> str:
        """The canonical name of the required package."""
        return canonicalize_name(self.requirement.name)

    @property
    def specifier(self) -> str:
        """The versions that meet it; empty: every version."""
        return str(self.requirement.specifier)


def declared(environment: Environment) -> tuple[DeclaredRequirement, ...]:
    """Return the requirements of all installed packages that apply in the target; unreadable ones are skipped.

    Environment markers are evaluated for the target. A requirement of an extra applies only if another installed
    package requests the extra.
    """
    return _declared(tuple(_first_of_each_name(environment)), tuple(sorted(environment.platform.markers.items())))


@lru_cache(maxsize=4)
def _declared(
    distributions: tuple[Distribution, ...], markers: tuple[tuple[str, str], ...]
) -> tuple[DeclaredRequirement, ...]:
    """Return what ``declared`` returns. Several checks and every question about versions ask for it."""
    values = dict(markers)
    applying = {each.name: tuple(_applying(each, values, set())) for each in distributions}
    extras: dict[str, set[str]] = {}
    for requirement in itertools.chain.from_iterable(applying.values()):
        extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    # Of most packages no extra is requested: then what applies is known already.
    for each in distributions:
        if extras.get(each.name):
            applying[each.name] = tuple(_applying(each, values, extras[each.name]))
    return tuple(
        DeclaredRequirement(distribution, requirement)
        for distribution in distributions
        for requirement in applying[distribution.name]
    )


def violated_extras(environment: Environment) -> tuple[Requirement, ...]:
    """Return the requirements of extras that installed packages violate, one for each package, without their markers.

    Nobody asked for the extra, but a package may use what is installed all the same: transformers imports ``kernels``
    wherever it finds it, and names the releases that it was made for only in an extra.
    """
    versions = environment.versions
    violated: dict[str, Requirement] = {}
    for distribution in _first_of_each_name(environment):
        for requirement in filter(None, map(parsed, distribution.requires)):
            name = canonicalize_name(requirement.name)
            installed = versions.get(name)
            if installed is None or not is_of_extra(requirement):
                continue
            if not contains(str(requirement.specifier), installed):
                violated[name] = Requirement(f"{name}{requirement.specifier}")
    return tuple(violated.values())


def _first_of_each_name(environment: Environment) -> list[Distribution]:
    """Return the distributions that Python imports: of two with one name, the first."""
    first: dict[str, Distribution] = {}
    for distribution in environment.distributions:
        first.setdefault(distribution.name, distribution)
    return list(first.values())


def _applying(distribution: Distribution, markers: Mapping[str, str], extras: set[str]) -> Iterator[Requirement]:
    requested = {canonicalize_name(extra) for extra in extras}
    for text in distribution.requires:
        extra = only_extra(text)
        if extra is not None and extra not in requested:
            continue
        requirement = parsed(text)
        if requirement is not None and _applies(requirement, markers, extras):
            yield requirement


def _applies(requirement: Requirement, markers: Mapping[str, str], extras: set[str]) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    # A marker that names no extra has the same value for all of them.
    names = ("", *sorted(extras)) if extras and is_of_extra(requirement) else ("",)
    try:
        return any(marker.evaluate({**markers, "extra": name}) for name in names)
    except UndefinedEnvironmentName:
        return False
