"""Judge every combination of some ranges, and join the releases that behave alike."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from vc2doctor.core.data import Data
from vc2doctor.core.versions import holds, specifier, version
from vc2doctor.core.wording import counted, enumerated
from vc2doctor.matrix.doors import same_stack
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import ReleaseRange, to_ranges
from vc2doctor.matrix.resolve import ResolvedQuery
from vc2doctor.target.doors import DEFAULT_DOORS
from vc2doctor.target.shared.recipes import evidence_recipe

MAX_NAMED = 10
"""Measured releases that are listed by number; more are counted."""
_WORKS_KEY = "works"
"""Of all combinations that train; the keys of the others give the reason."""

_KeyT = TypeVar("_KeyT")

WORKS = (Verdict.VERIFIED, Verdict.COMPATIBLE)
ORDER = (Verdict.VERIFIED, Verdict.COMPATIBLE, Verdict.UNVERIFIED, Verdict.INCOMPATIBLE)
"""The best verdict first."""


class ReleaseGroup(Data):
    """Releases in a range that have the same verdict for the same reason."""

    verdict: Verdict
    """``verified`` if every combination was measured; ``compatible`` if some were."""
    releases: dict[str, tuple[ReleaseRange, ...]]
    """By package: first and last of each run of consecutive releases."""
    combinations: int
    verified: int
    """How many of them were measured to train."""
    reason: str
    """The reason of the newest of them."""


class RangeJudgement(NamedTuple):
    """The verdict on all combinations of a query, and the groups that it consists of."""

    judgement: Judgement
    groups: tuple[ReleaseGroup, ...]
    newest_working: Combination | None
    """The newest combination that trains; ``None``: none does."""
    narrowed: tuple[str, ...]
    """If only some combinations train: requirements that hold the newest of those, and none that does not train."""


class _Judge(NamedTuple):
    """What every combination is judged by: the further arguments of ``judge``."""

    matrix: Matrix
    recipe: str
    doors: tuple[str, ...]


class _Part(NamedTuple):
    """Some combinations that behave alike."""

    releases: tuple[tuple[str, ...], ...]
    """By axis."""
    key: str
    judgements: tuple[Judgement, ...]


def judge_ranges(
    query: ResolvedQuery, matrix: Matrix, recipe: str, doors: Sequence[str] = DEFAULT_DOORS
) -> RangeJudgement:
    """Return the verdict on training the combinations of a query that has at least one range.

    It is the worst of their verdicts, because an installer may choose any of them. If the only range is that of a
    package which was not named, and not all of its releases fail, there is no verdict without its version.
    """
    parts = _parts(query, {}, list(query.axes), _Judge(matrix, recipe, tuple(doors)))
    by_key: dict[tuple[object, ...], list[_Part]] = defaultdict(list)
    for part in parts:
        # Runs of the last axis that are not consecutive, but otherwise alike, become one group.
        by_key[part.key, part.releases[:-1]].append(part)
    # Of the same verdict, the newest releases come first: they are what people install.
    groups = [_group(members, query) for members in reversed(by_key.values())]
    ordered = tuple(sorted(groups, key=lambda group: ORDER.index(group.verdict)))
    overall = _with_measured(_overall(parts, ordered, query), query, matrix, evidence_recipe(recipe))
    working = [dict(zip(query.axes, part.releases, strict=True)) for part in parts if part.key == _WORKS_KEY]
    if not working:
        return RangeJudgement(overall, ordered, None, ())
    newest = working[-1]
    narrowed = [_requirement(name, each, query.ranges[name]) for name, each in newest.items()]
    newest_working = query.with_releases({name: releases[-1] for name, releases in newest.items()})
    return RangeJudgement(overall, ordered, newest_working, () if overall.verdict in WORKS else tuple(narrowed))


def _with_measured(judgement: Judgement, query: ResolvedQuery, matrix: Matrix, recipe: str) -> Judgement:
    """Add with which releases of the package that was not named the others were measured to train."""
    if query.unnamed is None or len(query.axes) > 1:
        return judgement
    verdicts = matrix.verdicts
    measured = [
        text
        for text in query.axes[query.unnamed]
        if any(
            recipe in verdicts.outcomes[cell.how].trains
            for cell in same_stack(query.with_releases({query.unnamed: text}), verdicts)
        )
    ]
    if not measured:
        return judgement
    first, *others = judgement.reason.split("; ")
    few = f"{query.unnamed} {enumerated(measured)}"
    many = f"{len(measured)} releases of {query.unnamed} from {measured[0]} to {measured[-1]}"
    statement = f"measured to train with {few if len(measured) <= MAX_NAMED else many}"
    return judgement.model_copy(update={"reason": "; ".join((first, statement, *others))})


def _requirement(name: str, releases: Sequence[str], range_text: str) -> str:
    """Return the requirement that holds ``releases``, which are consecutive within a range of the user."""
    first, last = releases[0], releases[-1]
    if first == last:
        return f"{name}=={first}"
    # Patch releases of Python belong to their minor version.
    upper = f"<3.{version(last).minor + 1}" if name == "python" else f"<={last}"
    exclusions = sorted(str(clause) for clause in specifier(range_text) if clause.operator == "!=")
    return ",".join([f"{name}>={first}", upper, *exclusions])


def _parts(query: ResolvedQuery, chosen: Mapping[str, str], axes: Sequence[str], judging: _Judge) -> list[_Part]:
    """Return the parts of the combinations that have the ``chosen`` releases; ``axes`` are the packages left."""
    axis, *inner_axes = axes
    if not inner_axes:
        combinations = [query.with_releases({**chosen, axis: text}) for text in query.axes[axis]]
        judged = [(combination, judge(combination, *judging)) for combination in combinations]
        keys = [_key(combination, judgement, judging.matrix, judging.recipe) for combination, judgement in judged]
        return [
            _Part((tuple(query.axes[axis][index] for index in run),), key, tuple(judged[index][1] for index in run))
            for key, run in _runs(keys)
        ]
    inner = [_parts(query, {**chosen, axis: text}, inner_axes, judging) for text in query.axes[axis]]
    signatures = [tuple((part.key, part.releases) for part in parts) for parts in inner]
    joined = []
    for _, run in _runs(signatures):
        releases = tuple(query.axes[axis][index] for index in run)
        for parts in zip(*(inner[index] for index in run), strict=True):
            judgements = tuple(itertools.chain.from_iterable(part.judgements for part in parts))
            joined.append(_Part((releases, *parts[0].releases), parts[0].key, judgements))
    return joined


def _runs(keys: Sequence[_KeyT]) -> list[tuple[_KeyT, list[int]]]:
    """Return the runs of equal keys, each with its indices."""
    return [(key, list(indices)) for key, indices in itertools.groupby(range(len(keys)), key=keys.__getitem__)]


def _key(combination: Combination, judgement: Judgement, matrix: Matrix, recipe: str) -> str:
    """Return a text that is equal for combinations with the same verdict for the same reason."""
    if judgement.verdict in WORKS:
        return _WORKS_KEY
    if judgement.verdict is Verdict.UNVERIFIED:
        return f"unverified {judgement.uncertainty}"
    ids = judgement.issues or judgement.constraints
    if not ids:
        # A measured failure inside a constraint's region fails for that constraint's reason.
        candidates = matrix.verdicts.constraints_for(recipe, installed=False)
        ids = tuple(each.id for each in candidates if holds(each.when, combination.named))
    return f"incompatible {ids[0] if ids else ''}"


def _group(parts: Sequence[_Part], query: ResolvedQuery) -> ReleaseGroup:
    judgements = [judgement for part in parts for judgement in part.judgements]
    verdicts = Counter(judgement.verdict for judgement in judgements)
    newest = judgements[-1]
    return ReleaseGroup(
        verdict=newest.verdict if len(verdicts) == 1 else Verdict.COMPATIBLE,
        releases={
            axis: to_ranges({text for part in parts for text in part.releases[index]}, query.axes[axis])
            for index, axis in enumerate(query.axes)
        },
        combinations=len(judgements),
        verified=verdicts[Verdict.VERIFIED],
        reason=newest.reason,
    )


def _overall(parts: Sequence[_Part], groups: Sequence[ReleaseGroup], query: ResolvedQuery) -> Judgement:
    judgements = [judgement for part in parts for judgement in part.judgements]
    worst = max((judgement.verdict for judgement in judgements), key=ORDER.index)
    decisive = [judgement for judgement in judgements if judgement.verdict is worst]
    numbers = Counter("train" if judgement.verdict in WORKS else judgement.verdict.value for judgement in judgements)
    is_only_unnamed = query.unnamed is not None and len(query.axes) == 1
    if len(numbers) == 1 and len(groups) == 1:
        subject = f"releases of {query.unnamed}, which was not named" if is_only_unnamed else "in the range"
        return decisive[-1].model_copy(update={"reason": f"All {len(judgements)} {subject}: {decisive[-1].reason}"})
    statements = {
        "incompatible": ("does not train", "do not train"),
        "unverified": ("is unverified", "are unverified"),
        "train": ("trains", "train"),
    }
    counts = [f"{numbers[kind]} {forms[numbers[kind] > 1]}" for kind, forms in statements.items() if numbers[kind]]
    total = counted(len(judgements), "combination")
    if is_only_unnamed and (numbers["train"] or len(numbers) > 1):
        name, releases = query.unnamed, counted(len(judgements), "release")
        reason = f"It depends on {name}, which was not named: of its {releases}, {', '.join(counts)}"
        return Judgement(verdict=Verdict.UNVERIFIED, reason=reason, uncertainty="unnamed")
    return Judgement(
        verdict=worst,
        reason=f"Of the {total} in the range, {', '.join(counts)}",
        issues=tuple(dict.fromkeys(issue for judgement in decisive for issue in judgement.issues)),
        constraints=tuple(dict.fromkeys(constraint for judgement in decisive for constraint in judgement.constraints)),
        uncertainty=decisive[-1].uncertainty,
    )
