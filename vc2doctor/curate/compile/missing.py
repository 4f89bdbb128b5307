"""Constraints of symbols that one package needs and another one lacks, and of versions that a package refuses."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vc2doctor.core.versions import ABSENT, contains
from vc2doctor.curate.compile.naming import constraint_id, subject
from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.releases import (
    RESULT_END,
    ProvidedSymbol,
    Refusal,
    ReleaseRange,
    RequiredSymbol,
    Wheels,
    in_ranges,
    range_specifier,
    to_ranges,
)

MAX_SYMBOLS = 3
"""Symbols that a reason names; the others are only counted, since one suffices to look the change up."""


class _Region(NamedTuple):
    """Releases of one package that need something, with releases of others that do not have it."""

    door: str
    package: str
    releases: str
    when: tuple[tuple[str, str], ...]
    """Specifiers of the other packages."""


class _MissingSymbol(NamedTuple):
    """A symbol that is needed and missing."""

    name: str
    description: str


def symbol_constraints(wheels: Wheels) -> Iterator[Constraint]:
    """Yield a constraint for each region in which one package needs symbols that the other lacks."""
    provided = {(entry.module, entry.symbol): entry for entry in wheels.provided}
    symbols_by_region: dict[_Region, list[_MissingSymbol]] = defaultdict(list)
    for required in wheels.required:
        entry = provided.get((required.module, required.symbol))
        for region, symbol in _missing_symbols(required, entry, wheels) if entry else ():
            symbols_by_region[region].append(symbol)
    for region, symbols in symbols_by_region.items():
        descriptions = list(dict.fromkeys(symbol.description for symbol in symbols))
        more = f", and {len(descriptions) - MAX_SYMBOLS} more" if len(descriptions) > MAX_SYMBOLS else ""
        reason = f"{subject(region.package, region.releases)} {'; '.join(descriptions[:MAX_SYMBOLS])}{more}"
        yield _constraint(region, "symbol", symbols[0].name, reason)


def _missing_symbols(
    required: RequiredSymbol, provided: ProvidedSymbol, wheels: Wheels
) -> Iterator[tuple[_Region, _MissingSymbol]]:
    """Yield the regions in which a required symbol is missing."""
    ordered = wheels.ordered(required.provider)
    lacking = set(ordered) - in_ranges(provided.releases, ordered)
    wanted = required.when.get(required.provider, "")
    # Where the importing package asks for a version first, only such versions count.
    concerned = {text for text in lacking if contains(wanted, text)}
    available = _availability(provided.releases, ordered)
    if required.provider == required.package:
        missing_door = _MissingSymbol(_name(required), f"has no {required.symbol}, which it has {available}")
        for lacking_range in to_ranges(concerned, ordered):
            yield _Region(required.door, required.package, range_specifier(lacking_range, ordered), ()), missing_door
        return
    symbol = _MissingSymbol(_name(required), _description(required, available))
    for importing_range in required.releases:
        releases = range_specifier(importing_range, wheels.ordered(required.package))
        for lacking_range in to_ranges(concerned, ordered):
            when = {**required.when, required.provider: range_specifier(lacking_range, ordered)}
            yield _Region(required.door, required.package, releases, tuple(when.items())), symbol


def _name(required: RequiredSymbol) -> str:
    if required.is_attribute:
        return f"{required.module}.{required.symbol}"
    return f"{required.symbol} of {required.module}" if required.symbol else required.module


def _description(required: RequiredSymbol, available: str) -> str:
    others = {name: text for name, text in required.when.items() if name != required.provider}
    conditions = [
        f"without {name}" if text == ABSENT else f"with {name} {text}".strip() for name, text in others.items()
    ]
    what = f"{_verb(required)} {_name(required)}"
    verb = "has"
    if required.symbol.endswith(RESULT_END):
        function = required.symbol.removesuffix(RESULT_END)
        what, verb = f"takes what {function} of {required.module} returns for true or false", "returns"
    place = f"{what} {' and '.join(conditions)}".strip()
    return f"{place} (in {required.file}), which {required.provider} {verb} {available}"


def _verb(required: RequiredSymbol) -> str:
    if required.is_attribute:
        return "uses"
    return "calls" if required.symbol.endswith(")") else "imports"


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


def refusal_constraints(wheels: Wheels) -> Iterator[Constraint]:
    """Yield a constraint for each range of releases that raises an exception with certain versions of others."""
    for refusal in wheels.refusals:
        for release_range in refusal.releases:
            releases = range_specifier(release_range, wheels.ordered(refusal.package))
            region = _Region(refusal.door, refusal.package, releases, tuple(refusal.when.items()))
            yield _constraint(region, "declared", "refused", _refusal_reason(refusal, releases))


def _refusal_reason(refusal: Refusal, releases: str) -> str:
    versions = " and ".join(f"{name} {text}".strip() for name, text in refusal.when.items())
    return f"{subject(refusal.package, releases)} raises an error with {versions} (in {refusal.file})"


def _constraint(region: _Region, kind: str, what: str, reason: str) -> Constraint:
    when: Mapping[str, str] = dict(region.when)
    words = [word for pair in when.items() for word in pair if word]
    return Constraint.model_validate(
        {
            "id": constraint_id(region.package, region.releases, *words, what),
            "kind": kind,
            "reason": reason,
            "when": {region.package: region.releases, **when},
            "door": region.door,
        }
    )
