"""Turn the versions that a user asks about into the combinations that are judged, and say what is not judged."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping

from packaging.specifiers import SpecifierSet
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, STACK_PACKAGES, contains, holds, specifier, version
from vc2doctor.matrix.compiled import GPU, Constraint
from vc2doctor.matrix.judge import Combination
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.names import refuse_misspelled
from vc2doctor.matrix.parse import CombinationError, VersionQuery, quoted

_PASSED_OVER = re.compile(r"install-unsatisfiable|.*-wheel$")
"""Ids of constraints because of which an installer chooses another release: there is no wheel, or requirements exclude
each other. A build that fails, or an import that fails afterwards, makes it choose no other."""

MAX_COMBINATIONS = 6000
"""In one question. A thousand take about a second, and transformers with peft (4930) is the largest pair."""


class ResolvedQuery(Data):
    """What is judged for a query, and what is not."""

    fixed: Combination
    """The versions that are the same in every combination."""
    axes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The releases of each package that was named with a range, oldest first."""
    ranges: dict[str, str] = Field(default_factory=dict)
    """The ranges, as the user wrote them; an empty text for ``unnamed``."""
    unnamed: str | None = None
    """The package of the stack that was not named, if it is the only one: all its releases are an axis."""
    newest: dict[str, str] = Field(default_factory=dict)
    """Packages of the stack that were named without a version, with the release that ``fixed`` has for them."""
    any_version: tuple[str, ...] = ()
    """Other packages that were named without a version: the resolver chooses one that fits."""
    not_judged: dict[str, str] = Field(default_factory=dict)
    """Packages that the matrix does not model, with the version or range that was named; empty text: neither."""

    def combinations(self) -> Iterator[Combination]:
        """Yield every combination of the ranges, the oldest releases first."""
        for releases in itertools.product(*self.axes.values()):
            yield self.with_releases(dict(zip(self.axes, releases, strict=True)))

    def with_releases(self, releases: Mapping[str, str]) -> Combination:
        """Return the combination that has ``releases`` of the packages with a range."""
        python = releases.get("python", self.fixed.python)
        versions = {name: text for name, text in releases.items() if name != "python"}
        return self.fixed.model_copy(update={"python": python, "versions": {**self.fixed.versions, **versions}})


def resolve(query: VersionQuery, matrix: Matrix) -> ResolvedQuery:
    """Return what is judged for a query.

    Raises:
        CombinationError: a range holds no known release, or the ranges have too many combinations.
        MisspelledNameError: a name is close to one that the matrix judges.
    """
    judged = matrix.modeled_packages | {"python", GPU}
    refuse_misspelled((name for name in query.names if name not in judged), judged)
    ranges = {name: text for name, text in query.ranges.items() if name in judged}
    axes = {name: _releases_in(name, text, matrix) for name, text in ranges.items()}
    count = math.prod(map(len, axes.values()))
    if count > MAX_COMBINATIONS:
        message = (
            f"the ranges of {', '.join(axes)} have {count:,} combinations, and one question may have"
            f" {MAX_COMBINATIONS:,}. Name one of them with a single version, or narrow the ranges."
        )
        raise CombinationError(message)
    named = query.combination
    versions = {name: text for name, text in named.versions.items() if name in judged}
    newest: dict[str, str] = {}
    for name in (axis for axis in STACK_PACKAGES if axis in query.bare):
        newest[name] = _newest(name, {**named.named, **newest}, matrix)
    unnamed = _unnamed(query, count, matrix)
    if unnamed is not None:
        ranges[unnamed], axes[unnamed] = "", _releases_in(unnamed, "", matrix)
    others = {**query.exact, **query.ranges, **dict.fromkeys(query.bare, "")}
    return ResolvedQuery(
        fixed=named.model_copy(update={"versions": {**versions, **newest}}),
        axes=axes,
        ranges=ranges,
        unnamed=unnamed,
        newest=newest,
        any_version=tuple(name for name in query.bare if name in judged and name not in STACK_PACKAGES),
        not_judged={name: text for name, text in others.items() if name not in judged},
    )


def _unnamed(query: VersionQuery, count: int, matrix: Matrix) -> str | None:
    """Return the only package of the stack that a query of ``count`` combinations does not name.

    ``None``: it names all three, or only one; or each release of the other would make too many combinations.
    """
    missing = [axis for axis in STACK_PACKAGES if axis not in query.names]
    if len(missing) != 1 or not known_releases(missing[0], matrix):
        return None
    return missing[0] if count * len(_releases_in(missing[0], "", matrix)) <= MAX_COMBINATIONS else None


def known_releases(name: str, matrix: Matrix) -> tuple[str, ...]:
    """Return the releases of a package (or of ``python``) that the matrix knows, oldest first.

    Of a package whose wheels were not read, these are the measured releases, and those that conditions name.
    """
    verdicts = matrix.verdicts
    if verdicts.releases.get(name):
        return verdicts.releases[name]
    if name == "python":
        return tuple(sorted({cell.python for cell in verdicts.cells}, key=version))
    conditions = [condition for issue in matrix.issues for condition in issue.when]
    conditions += [constraint.when for constraint in verdicts.constraints]
    named = {text for condition in conditions if name in condition for text in bounds(condition[name])}
    measured = {companions[name] for companions in verdicts.companions if name in companions}
    return tuple(sorted({str(version(text)) for text in named | measured}, key=version))


def bounds(specifier_text: str) -> Iterator[str]:
    """Yield the versions that a specifier names."""
    if specifier_text != ABSENT:
        yield from (clause.version.removesuffix(".*") for clause in specifier(specifier_text))


def _releases_in(name: str, specifier_text: str, matrix: Matrix) -> tuple[str, ...]:
    known = known_releases(name, matrix)
    final = [text for text in known if not version(text).is_prerelease]
    ends = [text for text in bounds(specifier_text) if name not in matrix.verdicts.releases]
    texts = sorted({*final, *ends} if name != "python" else final, key=version)
    wanted = _minors(specifier_text) if name == "python" else specifier_text
    releases = tuple(text for text in texts if contains(wanted, text))
    if releases:
        return releases
    extent = f"from {final[0]} to {final[-1]}" if final else "none"
    message = (
        f"{quoted(f'{name}{specifier_text}')}: no release of {name} that the matrix knows lies in this range"
        f" (known: {extent}). Change the range, or name one version with {name}==VERSION."
    )
    raise CombinationError(message)


def _minors(specifier_text: str) -> str:
    """Return a specifier of Python that compares minor versions: ``>=3.9.2`` admits 3.9, of which nothing is older."""
    clauses = []
    for clause in SpecifierSet(specifier_text):
        release = version(clause.version.removesuffix(".*")).release
        minor, is_patch = ".".join(map(str, release[:2])), len(release) > len(("major", "minor"))
        if is_patch and clause.operator in ("~=", "!="):
            # Patch releases of 3.9 are all compatible with 3.9.2, and one of them that is excluded leaves the others.
            clauses += [f"=={minor}"] if clause.operator == "~=" else []
        else:
            is_wildcard = clause.version.endswith(".*") and len(release) == 1
            clauses.append(f"{clause.operator}{minor}{'.*' if is_wildcard else ''}")
    return ",".join(clauses)


def _newest(name: str, named: Mapping[str, str], matrix: Matrix) -> str:
    """Return the release of a package that an installer chooses for the versions in ``named``: the newest that it can.

    If the matrix knows of none, return the newest.
    """
    releases = known_releases(name, matrix)
    if not releases:
        message = f"{name} is named without a version, and the matrix knows no release of it. Write {name}==VERSION."
        raise CombinationError(message)
    passed_over = [constraint.when for constraint in matrix.verdicts.constraints if _is_passed_over(constraint)]
    for text in reversed(releases):
        if not any(holds(condition, {**named, name: text}) for condition in passed_over):
            return text
    return releases[-1]


def _is_passed_over(constraint: Constraint) -> bool:
    is_open = ABSENT in constraint.when.values()
    return constraint.kind == "install" and not is_open and _PASSED_OVER.match(constraint.id) is not None
