"""``vc2doctor matrix``: what is known of versions that need not be installed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vc2doctor.core.data import Data
from vc2doctor.matrix import judge as judging
from vc2doctor.matrix import load, parse
from vc2doctor.matrix.judge import Combination, Judgement, PossibleConflict, Verdict
from vc2doctor.matrix.table import Table, table
from vc2doctor.remedies.smallest import Remedy, smallest_remedies


class VersionsAnswer(Data):
    """A verdict on versions, with what a reader needs beside it."""

    combination: dict[str, str]
    recipe: str
    judgement: Judgement
    possible_conflicts: tuple[PossibleConflict, ...]
    """What would decide against it, of packages that were not named."""
    nearest_cells: tuple[str, ...]
    remedies: tuple[Remedy, ...]


class Tables(Data):
    """Transformers by peft, a table for each torch."""

    tables: tuple[Table, ...]


def parse_words(words: Sequence[str]) -> Combination:
    """Return the combination of words such as ``torch=2.5.1``.

    Raises:
        CombinationError: a word is not a version by name.
    """
    return parse.from_words(words)


def judge(combination: Combination, recipe: str, folder: Path | None = None) -> VersionsAnswer:
    """Return what the matrix in ``folder`` (default: the one that came with the doctor) knows of a combination.

    Raises:
        MatrixError: the matrix cannot be used.
    """
    known = load.load(folder or load.shipped())
    judgement = judging.judge(combination, known, recipe)
    bad = judgement.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED) and judgement.uncertainty != "unnamed"
    return VersionsAnswer(
        combination=combination.named,
        recipe=recipe,
        judgement=judgement,
        possible_conflicts=judging.possible_conflicts(combination, known, recipe),
        nearest_cells=tuple(judging.nearest_cells(combination, known.verdicts, recipe)),
        remedies=smallest_remedies(combination.python or "", combination.versions, known, recipe) if bad else (),
    )


def judge_versions(versions: Mapping[str, str], recipe: str, folder: Path | None = None) -> VersionsAnswer:
    """Return what is known of versions by name (``python`` among them).

    Raises:
        CombinationError: a name or a version is wrong.
        MatrixError: the matrix cannot be used.
    """
    return judge(parse.from_names(dict(versions)), recipe, folder)


def judge_batch(path: Path, recipe: str, folder: Path | None = None) -> Iterator[str]:
    """Yield one JSON object for each combination of a file.

    Raises:
        CombinationError: a line is not versions by name.
        MatrixError: the matrix cannot be used.
    """
    known = load.load(folder or load.shipped())
    for combination in list(parse.from_file(path)):
        judgement = judging.judge(combination, known, recipe)
        line = judgement.model_dump(mode="json", exclude_defaults=True)
        if judgement.uncertainty == "unnamed":
            line["possible_conflicts"] = [
                each.model_dump() for each in judging.possible_conflicts(combination, known, recipe)
            ]
        yield json.dumps(line, ensure_ascii=False)


def tables(torches: Sequence[str], recipe: str, folder: Path | None = None) -> Tables:
    """Return a table for each torch; none named means every measured one, newest first.

    Raises:
        CombinationError: a torch is not a version.
        MatrixError: the matrix cannot be used.
    """
    for torch in torches:
        parse.from_names({"torch": torch})
    known = load.load(folder or load.shipped())
    return Tables(tables=tuple(table(known, torch, recipe) for torch in torches or known.verdicts.torches))
