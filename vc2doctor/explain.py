"""Answers questions about combinations: loads the matrix, judges, tells."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from vc2doctor.matrix import asked
from vc2doctor.matrix.judge import Verdict, depends, judge, neighbours
from vc2doctor.matrix.load import load, shipped
from vc2doctor.matrix.model import Matrix
from vc2doctor.matrix.table import Table, table
from vc2doctor.matrix.verdicts import version
from vc2doctor.prescribe.nearest import prescribe


def told(words: Sequence[str], folder: Path | None, recipe: str, form: str) -> str:
    """Return what is known of the combination in ``words``.

    Raises:
        CombinationError: a word is not a version by name.
        MatrixError: the matrix cannot be used.
    """
    from vc2doctor.report.matrix import Explained, explained  # noqa: PLC0415 - batches need no terminal

    combination, known = asked.from_words(words), load(folder or shipped())
    found = judge(combination, known, recipe)
    bad = found.verdict in (Verdict.INCOMPATIBLE, Verdict.UNVERIFIED) and found.doubt != "unnamed"
    ways = prescribe(combination.python or "", combination.versions, known, recipe) if bad else ()
    answer = Explained(
        combination=combination.named,
        recipe=recipe,
        judgement=found,
        depends=depends(combination, known, recipe),
        neighbours=tuple(neighbours(combination, known.verdicts, recipe)),
        prescriptions=ways,
    )
    if form == "json":
        return answer.model_dump_json(indent=2, exclude_none=True)
    return explained(answer)


def batch(path: Path, folder: Path | None, recipe: str) -> Iterator[str]:
    """Yield one JSON object for each combination of a file.

    Raises:
        CombinationError: a line is not versions by name.
        MatrixError: the matrix cannot be used.
    """
    known = load(folder or shipped())
    for combination in list(asked.from_file(path)):
        found = judge(combination, known, recipe)
        told = found.model_dump(mode="json", exclude_defaults=True)
        if found.doubt == "unnamed":
            told["depends"] = [one.model_dump() for one in depends(combination, known, recipe)]
        yield json.dumps(told, ensure_ascii=False)


def tables(torches: Sequence[str], folder: Path | None, recipe: str) -> list[Table]:
    """Return a table for each torch; none named means every measured one, newest first.

    Raises:
        CombinationError: a torch is not a version.
        MatrixError: the matrix cannot be used.
    """
    for torch in torches:
        asked.from_names({"torch": torch})
    known = load(folder or shipped())
    return [table(known, torch, recipe) for torch in torches or measured(known)]


def measured(known: Matrix) -> list[str]:
    """Return every torch that was measured, newest first."""
    return [str(found) for found in sorted({version(cell.torch) for cell in known.verdicts.cells}, reverse=True)]


def exported(torches: Sequence[str], folder: Path | None, recipe: str, form: str) -> str:
    """Return the tables as a page, or as JSON.

    Raises:
        MatrixError: the matrix cannot be used.
    """
    found = tables(torches, folder, recipe)
    if form == "json":
        return json.dumps([one.model_dump(mode="json") for one in found], indent=1) + "\n"
    from vc2doctor.report.matrix import page  # noqa: PLC0415 - only a page needs it

    return page(found)
