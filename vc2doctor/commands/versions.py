"""``vc2doctor matrix``: what the matrix knows about versions, installed or not."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vc2doctor.core.data import Data
from vc2doctor.matrix import judge as judging
from vc2doctor.matrix import load, parse
from vc2doctor.matrix.judge import Combination, Judgement, PossibleConflict, Verdict
from vc2doctor.matrix.table import Table, table
from vc2doctor.remedies.question import Goal, Question
from vc2doctor.remedies.smallest import Remedy, nearest_measured, smallest_remedies


class VersionsAnswer(Data):
    """A verdict on versions, with conflicts, measured neighbors and remedies."""

    combination: dict[str, str]
    recipe: str
    judgement: Judgement
    possible_conflicts: tuple[PossibleConflict, ...]
    """What would make the combination fail, for packages that were not named."""
    nearest_cells: tuple[str, ...]
    remedies: tuple[Remedy, ...]


class Tables(Data):
    """Tables of transformers by peft, one for each torch."""

    tables: tuple[Table, ...]


def parse_words(words: Sequence[str]) -> Combination:
    """Return the combination that words such as ``torch=2.5.1`` describe.

    Raises:
        CombinationError: a word is not NAME=VERSION.
    """
    return parse.from_words(words)


def judge(combination: Combination, recipe: str, folder: Path | None = None) -> VersionsAnswer:
    """Return what the matrix in ``folder`` (default: the one that comes with the doctor) knows about a combination.

    Raises:
        MatrixError: the matrix cannot be used.
    """
    matrix = load.load(folder or load.shipped())
    judgement = judging.judge(combination, matrix, recipe)
    # If a package of the stack is not named, every set is near, so no remedy is better than another.
    needs_remedy = (
        judgement.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED) and judgement.uncertainty != "unnamed"
    )
    remedies = (
        _remedies(Question(combination=combination, matrix=matrix, goal=Goal(recipe=recipe))) if needs_remedy else ()
    )
    return VersionsAnswer(
        combination=combination.named,
        recipe=recipe,
        judgement=judgement,
        possible_conflicts=judging.possible_conflicts(combination, matrix, recipe),
        nearest_cells=tuple(judging.nearest_cells(combination, matrix.verdicts, recipe)),
        remedies=remedies,
    )


def _remedies(question: Question) -> tuple[Remedy, ...]:
    """Return the smallest changes; without any, the nearest set that was measured to train."""
    smallest = smallest_remedies(question)
    measured = None if smallest else nearest_measured(question)
    return (measured,) if measured else smallest


def judge_versions(versions: Mapping[str, str], recipe: str, folder: Path | None = None) -> VersionsAnswer:
    """Return what the matrix knows about versions by package name; ``python`` may be among the names.

    Raises:
        CombinationError: a name or a version is wrong.
        MatrixError: the matrix cannot be used.
    """
    return judge(parse.from_names(dict(versions)), recipe, folder)


def judge_batch(path: Path, recipe: str, folder: Path | None = None) -> Iterator[str]:
    """Yield the verdict on each combination of a JSON Lines file, as one line of JSON.

    Raises:
        CombinationError: a line is not an object of versions by name.
        MatrixError: the matrix cannot be used.
    """
    matrix = load.load(folder or load.shipped())
    # The whole file is parsed first: a wrong line must not end the output in the middle.
    for combination in list(parse.from_file(path)):
        judgement = judging.judge(combination, matrix, recipe)
        answer = judgement.model_dump(mode="json", exclude_defaults=True)
        if judgement.uncertainty == "unnamed":
            conflicts = judging.possible_conflicts(combination, matrix, recipe)
            answer["possible_conflicts"] = [conflict.model_dump() for conflict in conflicts]
        yield json.dumps(answer, ensure_ascii=False)


def tables(torches: Sequence[str], recipe: str, folder: Path | None = None) -> Tables:
    """Return one table for each torch in ``torches``; if it is empty, for every measured torch, newest first.

    Raises:
        CombinationError: a torch is not a version.
        MatrixError: the matrix cannot be used.
    """
    for torch in torches:
        parse.from_names({"torch": torch})
    matrix = load.load(folder or load.shipped())
    return Tables(tables=tuple(table(matrix, torch, recipe) for torch in torches or matrix.verdicts.torches))
