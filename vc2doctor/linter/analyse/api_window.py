"""The releases of one package in which everything that a program uses exists."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

from vc2doctor.linter.analyse.api_branches import is_in_branch
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.knowledge.api_table import PackageTable


class Window(NamedTuple):
    """Consecutive releases; positions count from the oldest release of the table."""

    bits: int
    """The releases; 0: there is none."""
    first: int
    last: int
    lower: Use | None
    """What the release before the window lacks; ``None``: the window begins with the oldest release."""
    upper: Use | None
    """What the release after the window lacks."""
    conflict: tuple[Use, ...]
    """Uses that no release has together; empty: there is a window."""
    left_out: tuple[Use, ...]
    """Uses in a branch that the window lacks, or all releases in it that the project asks for."""


def window_of(package: PackageTable, uses: Sequence[Use], allowed: int) -> Window:
    """Return the window of some uses. Of several, the one that holds ``allowed`` releases counts, else the longest.

    Uses in a branch count, unless no release has all uses together, or none of those that the project asks for has: it
    most likely runs with what it asks for, and does not take the branch.
    """
    counted: Sequence[Use] = uses
    bits = _common(package, uses)
    for kept in (allowed, 0):
        if bits and (not allowed or bits & allowed):
            break
        fewer = [use for use in uses if use.existence.bits & kept or not is_in_branch(use)]
        common = _common(package, fewer)
        if not bits or common & allowed:
            counted, bits = fewer, common
    if not bits:
        return Window(0, 0, 0, None, None, _conflict(counted), ())
    first, last = max(_runs(bits), key=lambda run: (bool(_span(*run) & allowed), run[1] - run[0], run[1]))
    span = _span(first, last)
    return Window(
        bits=span,
        first=first,
        last=last,
        lower=_lacking(counted, first - 1) if first else None,
        upper=_lacking(counted, last + 1) if last + 1 < len(package.releases) else None,
        conflict=(),
        left_out=tuple(use for use in uses if use not in counted and not use.existence.bits & (span & allowed or span)),
    )


def _common(package: PackageTable, uses: Iterable[Use]) -> int:
    return reduce(lambda bits, use: bits & use.existence.bits, uses, package.everything)


def _span(first: int, last: int) -> int:
    return (1 << (last + 1)) - (1 << first)


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last position of each run of bits."""
    position = 0
    while bits >> position:
        start = position + ((bits >> position) & -(bits >> position)).bit_length() - 1
        stop = start
        while bits >> (stop + 1) & 1:
            stop += 1
        yield start, stop
        position = stop + 1


def _lacking(uses: Iterable[Use], position: int) -> Use | None:
    """Return the use that a release lacks; those that always run come first."""
    lacking = [use for use in uses if not use.existence.bits >> position & 1]
    return min(lacking, key=is_in_branch, default=None)


def _conflict(uses: Sequence[Use]) -> tuple[Use, ...]:
    """Return uses that no release has together, as few as are found by leaving out one after the other."""
    kept = list(uses)
    for use in uses:
        others = [other for other in kept if other is not use]
        if others and not reduce(lambda bits, other: bits & other.existence.bits, others, -1):
            kept = others
    return tuple(kept)
