"""Constraints that the released wheels show without a measurement: imports, declared requirements, and Pythons."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from vc2doctor.core.versions import ABSENT
from vc2doctor.curate.compile.missing import refusal_constraints, symbol_constraints
from vc2doctor.curate.compile.naming import constraint_id, subject
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.door_table import lineage
from vc2doctor.matrix.releases import Wheels, range_specifier, to_ranges

ENFORCED = {"transformers": ("tokenizers", "huggingface-hub"), "torchvision": ("torch",)}
"""Packages that enforce what they declare. ``transformers/dependency_versions_check.py`` compares versions when it is
imported; torchvision's operators are built against one torch (https://github.com/pytorch/vision#installation)."""
NEGATED = {">=": ("<",), ">": ("<=",), "<": (">=",), "<=": (">",), "==": ("<", ">"), "!=": ("==",)}
"""Operators of the versions that an operator excludes."""
PYTHONS = tuple(f"3.{minor}" for minor in range(7, 16))
"""Minor versions that a user may have: from the oldest that torch 1.13 supports, to the next ones."""


def constraints(wheels: Wheels) -> list[Constraint]:
    """Return the constraints that ``wheels`` show, without those that lie within a wider one of the same kind.

    The wider one is about the same door, or about a door that is passed on the way.
    """
    candidates = [
        _Candidate(constraint, {name: _matching(text, name, wheels) for name, text in constraint.when.items()})
        for constraint in (
            *symbol_constraints(wheels),
            *refusal_constraints(wheels),
            *_declared_constraints(wheels),
            *_python_constraints(wheels),
        )
    ]
    return [
        candidate.constraint
        for candidate in candidates
        if not any(_is_within(candidate, other) for other in candidates if other is not candidate)
    ]


class _Candidate(NamedTuple):
    """A constraint, and the known releases in its region by package."""

    constraint: Constraint
    releases: Mapping[str, frozenset[str]]


def _matching(text: str, name: str, wheels: Wheels) -> frozenset[str]:
    if name == "python" or text == ABSENT:
        return frozenset({text})
    known = wheels.ordered(name)
    return frozenset(release for release in known if SpecifierSet(text).contains(Version(release))) or frozenset({text})


def _is_within(inner: _Candidate, outer: _Candidate) -> bool:
    """Return whether a region lies in another one of the same kind, which may be about fewer packages."""
    if inner.constraint.kind != outer.constraint.kind or not outer.releases.keys() <= inner.releases.keys():
        return False
    if outer.constraint.door not in lineage(inner.constraint.door):
        return False
    if inner.releases == outer.releases and inner.constraint.door == outer.constraint.door:
        # Of two equal regions, one has to stay.
        return inner.constraint.id > outer.constraint.id
    return all(inner.releases[name] <= releases for name, releases in outer.releases.items())


def _declared_constraints(wheels: Wheels) -> Iterator[Constraint]:
    """Yield a constraint for each requirement that is enforced at import, and for each range that it excludes."""
    for package, dependencies in ENFORCED.items():
        ordered = wheels.ordered(package)
        for dependency in dependencies:
            releases_by_requirement: dict[str, set[str]] = defaultdict(set)
            for text in ordered:
                requirement = wheels.releases[package][text].requires.get(dependency, "")
                releases_by_requirement[requirement].add(text)
            for requirement, releases in releases_by_requirement.items():
                for release_range in to_ranges(releases, ordered):
                    for excluded in _complement(SpecifierSet(requirement)):
                        yield _declared(
                            package, range_specifier(release_range, ordered), dependency, requirement, excluded
                        )


def _declared(package: str, releases: str, dependency: str, requirement: str, excluded: str) -> Constraint:
    # Lower bound first, as people write it.
    wanted = ",".join(sorted(requirement.split(","), reverse=True))
    return Constraint(
        id=constraint_id(package, releases, dependency, excluded, "checked"),
        kind="declared",
        reason=f"{subject(package, releases)} works only with {dependency} {wanted}, and its import fails with others",
        when={package: releases, dependency: excluded},
    )


def _complement(wanted: SpecifierSet) -> Iterator[str]:
    """Yield specifiers that together match every version that ``wanted`` excludes."""
    for bound in sorted(wanted, key=str):
        if not bound.version.endswith(".*") and bound.operator in NEGATED:
            for operator in NEGATED[bound.operator]:
                yield str(Specifier(f"{operator}{bound.version}"))


def _python_constraints(wheels: Wheels) -> Iterator[Constraint]:
    """Yield a constraint for each Python, and for each range of releases that has no wheel for it."""
    for package in ("torch", "transformers", "peft"):
        ordered = wheels.ordered(package)
        for python in PYTHONS:
            refused = {text for text in ordered if not wheels.releases[package][text].supports(python)}
            for release_range in to_ranges(refused, ordered):
                releases = range_specifier(release_range, ordered)
                yield Constraint(
                    id=constraint_id(package, releases, "python", python, "wheel"),
                    kind="install",
                    reason=f"{package} {releases} does not support Python {python}"
                    if releases
                    else f"no known release of {package} supports Python {python}",
                    when={package: releases, "python": f"=={python}"},
                )
