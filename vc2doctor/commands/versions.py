"""``vc2doctor matrix``: what the matrix knows about versions, installed or not."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from vc2doctor.checks.verdict import EXIT_CODE_OF_VERSIONS
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix import judge as judging
from vc2doctor.matrix import load, parse
from vc2doctor.matrix.age import MatrixAge, age_of
from vc2doctor.matrix.grouping import JoinedConflict, joined_conflicts
from vc2doctor.matrix.judge import Judgement, PossibleConflict, Verdict
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.parse import CombinationError, VersionQuery
from vc2doctor.matrix.ranges import RangeJudgement, ReleaseGroup, judge_ranges
from vc2doctor.matrix.resolve import ResolvedQuery, resolve
from vc2doctor.matrix.table import Table, table
from vc2doctor.remedies.question import Goal, Question
from vc2doctor.remedies.smallest import Remedy, nearest_measured, smallest_remedies


class VersionsAnswer(Data):
    """A verdict on versions, with what it does not cover, with conflicts, measured neighbors and remedies."""

    combination: dict[str, str]
    """The versions that were judged; with ranges, those that all combinations share."""
    ranges: dict[str, str] = Field(default_factory=dict)
    """The ranges that were judged, by package; an empty text for ``unnamed``."""
    unnamed: str | None = None
    """The package of the stack that was not named: each of its releases was judged."""
    newest: dict[str, str] = Field(default_factory=dict)
    """Packages that were named without a version, with the newest release: it was judged."""
    any_version: tuple[str, ...] = ()
    """Packages that were named without a version, and whose version was left open."""
    not_judged: dict[str, str] = Field(default_factory=dict)
    """Packages that the matrix does not model, as they were named: the verdict does not cover them."""
    recipe: str
    doors: tuple[str, ...] = ()
    """The ways into the stack that decide the verdict, beside the plain loop."""
    model_types: tuple[str, ...] = ()
    """The types of the model that is trained; empty: unknown."""
    judgement: Judgement
    exit_code: int = 0
    """What the command ends with: 0 verified or compatible, 1 incompatible, 3 unverified."""
    groups: tuple[ReleaseGroup, ...] = ()
    """The releases in the ranges that behave alike; empty without ranges."""
    narrowed: tuple[str, ...] = ()
    """Requirements in place of the ranges, if only a part of these trains: all that they admit trains."""
    matrix: MatrixAge = MatrixAge(measured="", released="")
    possible_conflicts: tuple[PossibleConflict, ...]
    """What would make the combination fail, for packages that were not named."""
    joined_conflicts: tuple[JoinedConflict, ...] = ()
    """The same, joined to few entries."""
    nearest_cells: tuple[str, ...]
    remedies: tuple[Remedy, ...]


class Tables(Data):
    """Tables of transformers by peft, one for each torch."""

    tables: tuple[Table, ...]


class BatchAnswer(NamedTuple):
    """The answers on a file of combinations."""

    lines: tuple[str, ...]
    """One line of JSON for each combination."""
    exit_code: int
    """That of the worst verdict; an incompatible combination is worse than one that was not measured."""


def parse_words(words: Sequence[str]) -> VersionQuery:
    """Return the query that words such as ``torch==2.5.1``, ``peft`` and ``transformers>=4.40,<4.45`` make.

    Raises:
        CombinationError: a word cannot be understood, or a package is named twice.
    """
    return parse.from_words(words)


def goal_of(recipe: str, doors: tuple[str, ...] | None) -> Goal:
    """Return the goal of training under ``recipe`` through ``doors``; ``None``: through those of most people."""
    return Goal(recipe=recipe) if doors is None else Goal(recipe=recipe, doors=doors)


def judge(
    query: VersionQuery, goal: Goal, folder: Path | None = None, model_types: Sequence[str] = ()
) -> VersionsAnswer:
    """Return what the matrix in ``folder`` (default: the one that comes with the doctor) knows about a query.

    ``model_types`` are the types of the model that is trained, as its ``config.json`` names them.

    Raises:
        CombinationError: a range holds no known release, or there are too many combinations.
        MatrixError: the matrix cannot be used.
        MisspelledNameError: a name is close to one that the matrix judges.
    """
    matrix = load.load(folder or load.shipped())
    return _answer(_of_models(resolve(query, matrix), model_types), matrix, goal)


def judgement_of(query: VersionQuery, matrix: Matrix, goal: Goal) -> Judgement:
    """Return the verdict alone, without remedies and neighbors.

    Raises:
        CombinationError: a range holds no known release, or there are too many combinations.
        MisspelledNameError: a name is close to one that the matrix judges.
    """
    return _judged(resolve(query, matrix), matrix, goal)[0]


def _of_models(query: ResolvedQuery, model_types: Sequence[str]) -> ResolvedQuery:
    fixed = query.fixed.model_copy(update={"model_types": tuple(model_types)})
    return query.model_copy(update={"fixed": fixed})


def _judged(query: ResolvedQuery, matrix: Matrix, goal: Goal) -> tuple[Judgement, RangeJudgement | None]:
    """Return the verdict on a query, and what its ranges consist of; ``None``: it has no range."""
    if not query.axes:
        return judging.judge(query.fixed, matrix, goal.recipe, goal.doors), None
    ranged = judge_ranges(query, matrix, goal.recipe, goal.doors)
    return ranged.judgement, ranged


def _answer(query: ResolvedQuery, matrix: Matrix, goal: Goal) -> VersionsAnswer:
    judgement, ranged = _judged(query, matrix, goal)
    newest = {name: releases[-1] for name, releases in query.axes.items()}
    is_unnamed = judgement.uncertainty == "unnamed" and ranged is None
    # With ranges, the possible conflicts are those of the newest combination that trains.
    example = ranged.newest_working if ranged and not is_unnamed else query.with_releases(newest)
    conflicts = judging.possible_conflicts(example, matrix, goal.recipe, goal.doors) if example else ()
    # If a package of the stack is not named, every set is near, so no remedy is better than another. And no package
    # makes up for a Python that was not measured.
    is_python = judgement.uncertainty in {judging.beyond("python", side) for side in ("older", "newer")}
    is_bad = judgement.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED)
    needs_remedy = is_bad and not is_unnamed and not is_python
    return VersionsAnswer(
        combination=query.fixed.written,
        ranges=query.ranges,
        unnamed=query.unnamed,
        newest=query.newest,
        any_version=query.any_version,
        not_judged=query.not_judged,
        recipe=goal.recipe,
        doors=goal.doors,
        model_types=query.fixed.model_types,
        judgement=judgement,
        exit_code=EXIT_CODE_OF_VERSIONS[judgement.verdict],
        groups=ranged.groups if ranged else (),
        narrowed=ranged.narrowed if ranged else (),
        matrix=age_of({**query.fixed.versions, **newest}, matrix),
        possible_conflicts=conflicts,
        joined_conflicts=joined_conflicts(conflicts, matrix, by_reason=is_unnamed),
        nearest_cells=tuple(judging.nearest_cells(query.fixed, matrix.verdicts, goal.recipe)),
        remedies=_remedies(Question(combination=query.with_releases(newest), matrix=matrix, goal=goal))
        if needs_remedy and not (ranged and ranged.newest_working)
        else (),
    )


def _remedies(question: Question) -> tuple[Remedy, ...]:
    """Return the smallest changes; without any, the nearest set that was measured to train.

    Where nothing is open but doors that were not measured, no change is known to be better than none.
    """
    if question.is_solved_by({}):
        return ()
    smallest = smallest_remedies(question)
    measured = None if smallest else nearest_measured(question)
    return (measured,) if measured else smallest


def judge_batch(path: Path, goal: Goal, folder: Path | None = None, model_types: Sequence[str] = ()) -> BatchAnswer:
    """Return the verdicts on the combinations of a JSON Lines file.

    Raises:
        CombinationError: a line is not an object of versions by name, or one of its names is misspelled (the message
            gives its number), or the file holds no line.
        MatrixError: the matrix cannot be used.
    """
    matrix = load.load(folder or load.shipped())
    # The whole file is read first: a wrong line must not end the output in the middle.
    queries = [_of_models(query, model_types) for query in _resolved_lines(path, matrix)]
    if not queries:
        message = f'{path}: the file holds no combination. Write one a line, such as {{"torch": "2.5.1"}}.'
        raise CombinationError(message)
    answers = [_batch_answer(query, matrix, goal) for query in queries]
    codes = {EXIT_CODE_OF_VERSIONS[verdict] for _, verdict in answers}
    worst_first = (EXIT_CODE_OF_VERSIONS[verdict] for verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED))
    return BatchAnswer(
        lines=tuple(json.dumps(answer, ensure_ascii=False) for answer, _ in answers),
        exit_code=next((code for code in worst_first if code in codes), 0),
    )


def _resolved_lines(path: Path, matrix: Matrix) -> Iterator[ResolvedQuery]:
    for number, query in parse.from_file(path):
        try:
            yield resolve(query, matrix)
        except DoctorError as error:  # noqa: PERF203 - the message needs the number of the line
            message = f"{path}:{number}: {error}"
            raise CombinationError(message) from error


def _batch_answer(query: ResolvedQuery, matrix: Matrix, goal: Goal) -> tuple[dict[str, object], Verdict]:
    """Return the answer on one line, with only the keys that say something, and its verdict."""
    judgement, ranged = _judged(query, matrix, goal)
    answer: dict[str, object] = judgement.model_dump(mode="json", exclude_defaults=True)
    details = {
        "groups": _dumped(ranged.groups) if ranged else [],
        "narrowed": list(ranged.narrowed) if ranged else [],
        "newest": query.newest,
        "any_version": list(query.any_version),
        "not_judged": query.not_judged,
        "newer_than_matrix": age_of(query.fixed.versions, matrix).newer,
        "possible_conflicts": _dumped(judging.possible_conflicts(query.fixed, matrix, goal.recipe, goal.doors))
        if judgement.uncertainty == "unnamed" and ranged is None
        else [],
    }
    return {**answer, **{key: value for key, value in details.items() if value}}, judgement.verdict


def _dumped(entries: Iterable[Data]) -> list[dict[str, object]]:
    return [entry.model_dump(mode="json") for entry in entries]


def tables(torches: Sequence[str], recipe: str, folder: Path | None = None) -> Tables:
    """Return one table for each torch in ``torches``; if it is empty, for every measured torch, newest first.

    Raises:
        CombinationError: a torch is not a version.
        MatrixError: the matrix cannot be used.
    """
    for torch in torches:
        if not parse.from_names({"torch": torch}).exact:
            message = f"{parse.quoted(torch)} is not one version of torch; write one such as 2.13.0."
            raise CombinationError(message)
    matrix = load.load(folder or load.shipped())
    return Tables(tables=tuple(table(matrix, torch, recipe) for torch in torches or matrix.verdicts.torches))
