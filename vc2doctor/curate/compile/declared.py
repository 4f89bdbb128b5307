"""Constraints that the released wheels show without a measurement: imports, declared requirements, and Pythons."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.releases import (
    ReleaseRange,
    RequiredSymbol,
    Wheels,
    in_ranges,
    range_specifier,
    to_ranges,
)

ENFORCED = {"transformers": ("tokenizers", "huggingface-hub"), "torchvision": ("torch",)}
"""Packages that enforce what they declare. ``transformers/dependency_versions_check.py`` compares versions when it is
imported; torchvision's operators are built against one torch (https://github.com/pytorch/vision#installation)."""
NEGATED = {">=": ("<",), ">": ("<=",), "<": (">=",), "<=": (">",), "==": ("<", ">"), "!=": ("==",)}
"""Operators of the versions that an operator excludes."""
PYTHONS = tuple(f"3.{minor}" for minor in range(7, 16))
"""Minor versions that a user may have: from the oldest that torch 1.13 supports, to the next ones."""
MAX_SYMBOLS = 3
"""Symbols that a reason names; the others are only counted, since one suffices to look the change up."""


def constraints(wheels: Wheels) -> list[Constraint]:
    """Return the constraints that ``wheels`` show, without those that lie within a wider one of the same kind."""
    candidates = [
        _Candidate(constraint, {name: _matching(text, name, wheels) for name, text in constraint.when.items()})
        for constraint in (*_symbol_constraints(wheels), *_declared_constraints(wheels), *_python_constraints(wheels))
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
    if name == "python":
        return frozenset({text})
    return frozenset(release for release in wheels.ordered(name) if SpecifierSet(text).contains(Version(release)))


def _is_within(inner: _Candidate, outer: _Candidate) -> bool:
    if inner.constraint.kind != outer.constraint.kind or inner.releases.keys() != outer.releases.keys():
        return False
    if inner.releases == outer.releases:
        # Of two equal regions, one has to stay.
        return inner.constraint.id > outer.constraint.id
    return all(inner.releases[name] <= outer.releases[name] for name in inner.releases)


class _Region(NamedTuple):
    """Releases of one package that import from releases of another, as specifiers."""

    package: str
    releases: str
    provider: str
    provider_releases: str


def _symbol_constraints(wheels: Wheels) -> Iterator[Constraint]:
    """Yield a constraint for each region in which one package imports symbols that the other lacks."""
    symbols_by_region: dict[_Region, list[_MissingSymbol]] = defaultdict(list)
    for required in wheels.required:
        for region, symbol in _missing_symbols(required, wheels):
            symbols_by_region[region].append(symbol)
    for region, symbols in symbols_by_region.items():
        named = "; ".join(symbol.description for symbol in symbols[:MAX_SYMBOLS])
        more = f", and {len(symbols) - MAX_SYMBOLS} more" if len(symbols) > MAX_SYMBOLS else ""
        yield Constraint(
            id=_id(*region, symbols[0].name),
            kind="symbol",
            reason=f"{_subject(region.package, region.releases)} imports {named}{more}",
            when={region.package: region.releases, region.provider: region.provider_releases},
        )


class _MissingSymbol(NamedTuple):
    """A symbol that is imported and missing."""

    name: str
    description: str


def _missing_symbols(required: RequiredSymbol, wheels: Wheels) -> Iterator[tuple[_Region, _MissingSymbol]]:
    """Yield the regions in which a required symbol is missing."""
    key = (required.module, required.symbol)
    provided = next((entry for entry in wheels.provided if (entry.module, entry.symbol) == key), None)
    ordered = wheels.ordered(required.provider)
    if provided is None or not ordered:
        return
    name = f"{required.symbol} of {required.module}" if required.symbol else required.module
    available = _availability(provided.releases, ordered)
    symbol = _MissingSymbol(name, f"{name} (in {required.file}), which {required.provider} has {available}")
    lacking = set(ordered) - in_ranges(provided.releases, ordered)
    for importing_range in required.releases:
        releases = range_specifier(importing_range, wheels.ordered(required.package))
        for lacking_range in to_ranges(lacking, ordered):
            provider_releases = range_specifier(lacking_range, ordered)
            yield _Region(required.package, releases, required.provider, provider_releases), symbol


def _availability(ranges: Sequence[ReleaseRange], ordered: Sequence[str]) -> str:
    """Return in which releases a symbol exists: ``from 4.43.0``, ``from 4.44.0 up to 4.57.6``."""
    if not ranges:
        return f"in no release up to {ordered[-1]}"
    parts = []
    for first, last in ranges:
        lower = "" if first == ordered[0] else f"from {first}"
        upper = "" if last == ordered[-1] else f"up to {last}"
        parts.append(" ".join(part for part in (lower, upper) if part) or "always")
    return " and ".join(parts)


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
        id=_id(package, releases, dependency, excluded, "checked"),
        kind="declared",
        reason=f"{_subject(package, releases)} works only with {dependency} {wanted}, and its import fails with others",
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
                    id=_id(package, releases, "python", python, "wheel"),
                    kind="install",
                    reason=f"{package} {releases} does not support Python {python}"
                    if releases
                    else f"no known release of {package} supports Python {python}",
                    when={package: releases, "python": f"=={python}"},
                )


def _subject(package: str, releases: str) -> str:
    return f"{package} {releases}" if releases else f"every known release of {package}"


def _id(*words: str) -> str:
    text = "-".join(words).replace(">=", "from-").replace("<=", "to-").replace("<", "below-").replace("==", "")
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in text.lower()).replace(",", "-")
