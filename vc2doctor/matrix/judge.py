"""The verdict on a combination, and its ground: pure functions over what is known."""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from vc2doctor.data import Data
from vc2doctor.matrix.model import EvidenceLine, KnownIssue, Matrix

AXES: tuple[Literal["torch", "transformers", "peft"], ...] = ("torch", "transformers", "peft")
_OWN_CODE = frozenset(AXES)


class Verdict(str, Enum):
    """On a combination; the words of the design."""

    VERIFIED = "verified"
    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    UNVERIFIED = "unverified"


class Combination(Data):
    """Versions that are installed together."""

    python: str
    """Minor version, ``3.11``."""
    versions: dict[str, str]
    """By canonical name: the stack and what it leans on, at least."""

    def version(self, name: str) -> Version:
        """Return the version of ``name``.

        Raises:
            KeyError: it is not part of the combination.
        """
        return Version(self.versions[name])

    def public(self, name: str) -> Version:
        """Return the version of ``name`` less its local part: ``2.13.0`` of ``2.13.0+cpu``."""
        return Version(self.version(name).public)


class Judgement(Data):
    """A verdict and its ground."""

    verdict: Verdict
    ground: str
    issues: tuple[str, ...] = ()
    """Identifiers of the known issues that decide."""


def strikes(issue: KnownIssue, versions: Mapping[str, str]) -> bool:
    """Return whether ``issue`` applies to a combination of installed ``versions``."""
    return any(
        all(
            name in versions and SpecifierSet(specifier).contains(versions[name], prereleases=True)
            for name, specifier in alternative.items()
        )
        for alternative in issue.when
    )


def spoils(issue: KnownIssue, recipe: str) -> bool:
    """Return whether ``issue`` decides about training under ``recipe``."""
    return issue.severity == "error" and (not issue.recipes or recipe in issue.recipes)


def judge(combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    """Return the verdict on training ``combination`` under ``recipe``.

    A measurement of exactly this combination decides first, then a known issue, then measured neighbours.

    Raises:
        KeyError: ``combination`` lacks torch, transformers or peft.
    """
    known = [issue for issue in matrix.issues if spoils(issue, recipe) and strikes(issue, combination.versions)]
    exact = [line for line in matrix.evidence if _is_exact(line, combination)]
    measured = [line for line in exact if line.trains(recipe) is not None]
    if measured:
        line = measured[-1]
        if line.trains(recipe):
            return Judgement(verdict=Verdict.VERIFIED, ground=f"{_told(line)}: it trains under {recipe}")
        ground = f"{_told(line)}: {_failure(line, recipe)}"
        return Judgement(verdict=Verdict.INCOMPATIBLE, ground=ground, issues=tuple(issue.id for issue in known))
    if known:
        titles = "; ".join(issue.title for issue in known)
        return Judgement(verdict=Verdict.INCOMPATIBLE, ground=titles, issues=tuple(issue.id for issue in known))
    return _from_neighbours(combination, matrix, recipe)


def _from_neighbours(combination: Combination, matrix: Matrix, recipe: str) -> Judgement:
    lines = [line for line in matrix.evidence if line.trains(recipe) is not None]
    for line in lines:
        if not line.trains(recipe) and _is_same(line, combination, AXES) and _carries_over(line):
            ground = f"{_told(line)}: {_failure(line, recipe)}; nothing but these packages decided it"
            return Judgement(verdict=Verdict.INCOMPATIBLE, ground=ground)
    # Around a measured failure nothing is inferred to work.
    if not any(not line.trains(recipe) and _is_near(line, combination) for line in lines):
        good = [line for line in lines if line.trains(recipe)]
        for infer in (_same_stack, _patch_release, _bracketed):
            ground_found = infer(combination, good, lines, recipe)
            if ground_found:
                return Judgement(verdict=Verdict.COMPATIBLE, ground=ground_found)
    return Judgement(verdict=Verdict.UNVERIFIED, ground=_nearest(combination, lines, recipe))


def _same_stack(combination: Combination, good: list[EvidenceLine], _: list[EvidenceLine], recipe: str) -> str | None:
    for line in good:
        if _is_same(line, combination, AXES):
            different = [
                f"{name} {combination.versions.get(name, 'absent')} (measured: {version})"
                for name, version in line.resolved.items()
                if combination.versions.get(name) != version
            ]
            if line.cell.python != combination.python:
                different.insert(0, f"Python {combination.python} (measured: {line.cell.python})")
            return f"{_told(line)}: it trains under {recipe}; here differ only {', '.join(different)}"
    return None


def _patch_release(
    combination: Combination, good: list[EvidenceLine], _: list[EvidenceLine], recipe: str
) -> str | None:
    for line in good:
        for axis in AXES:
            here, there = combination.public(axis), _version(line, axis)
            others = tuple(other for other in AXES if other != axis)
            if _is_same(line, combination, others) and _is_patch_of(here, there):
                return f"{_told(line)}: it trains under {recipe}; {axis} {here} is of the same minor release"
    return None


def _bracketed(
    combination: Combination, good: list[EvidenceLine], lines: list[EvidenceLine], recipe: str
) -> str | None:
    for axis in AXES:
        others = tuple(other for other in AXES if other != axis)
        here = combination.public(axis)
        row = [line for line in lines if _is_same(line, combination, others)]
        trained = [_version(line, axis) for line in row if line in good]
        below = max((version for version in trained if version < here), default=None)
        above = min((version for version in trained if version > here), default=None)
        if below is None or above is None or here.is_prerelease:
            continue
        if not any(below < _version(line, axis) < above and not line.trains(recipe) for line in row):
            return f"measured to train under {recipe} with {axis} {below} and with {axis} {above}, all else alike"
    return None


def _nearest(combination: Combination, lines: list[EvidenceLine], recipe: str) -> str:
    def shared(line: EvidenceLine) -> int:
        return sum(_is_same(line, combination, (axis,)) for axis in AXES)

    nearest = max(lines, key=shared, default=None)
    if nearest is None:
        return f"nothing was measured under {recipe}"
    how = "trains" if nearest.trains(recipe) else "fails"
    cell = nearest.cell
    stack = f"torch {cell.torch}, transformers {cell.transformers}, peft {cell.peft}"
    return f"nobody measured it; the nearest measured cell ({stack}) {how} under {recipe}"


def _version(line: EvidenceLine, axis: Literal["torch", "transformers", "peft"]) -> Version:
    return Version(Version(getattr(line.cell, axis)).public)


def _is_same(
    line: EvidenceLine, combination: Combination, axes: tuple[Literal["torch", "transformers", "peft"], ...]
) -> bool:
    return all(_version(line, axis) == combination.public(axis) for axis in axes)


def _is_exact(line: EvidenceLine, combination: Combination) -> bool:
    return (
        line.cell.python == combination.python
        and _is_same(line, combination, AXES)
        and all(combination.versions.get(name) == version for name, version in line.resolved.items())
    )


def _is_patch_of(here: Version, there: Version) -> bool:
    return here.release[:2] == there.release[:2] and not (here.is_prerelease or there.is_prerelease)


def _is_near(line: EvidenceLine, combination: Combination) -> bool:
    return all(_is_patch_of(combination.public(axis), _version(line, axis)) for axis in AXES)


def _carries_over(line: EvidenceLine) -> bool:
    """Return whether the failure is between the packages of the stack themselves, whatever they lean on."""
    failure = line.import_failure or next(iter(line.failures.values()), None)
    if failure is None or failure.missing is None:
        return False
    return failure.package in _OWN_CODE and failure.missing.module.partition(".")[0] in _OWN_CODE


def _told(line: EvidenceLine) -> str:
    where = "" if line.device == "none" else f" on {line.device}"
    return f"measured on {line.date}{where} (cell {line.name})"


def _failure(line: EvidenceLine, recipe: str) -> str:
    if line.import_failure is not None:
        return f"import fails: {line.import_failure.message}"
    for name in ("fp32", recipe):
        outcome = line.recipes.get(name)
        if outcome not in ("finite", "unsupported", None):
            message = f" ({line.failures[name].message})" if name in line.failures else ""
            return f"{name} ends {outcome}{message}"
    return f"save, reload and generate end {line.adapter}"
