"""``vc2doctor probe``: train under each precision and say what goes wrong, where and why."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.report import Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.core.errors import DoctorError
from vc2doctor.probe.spec import Subject
from vc2doctor.target.shared.recipes import RECIPES

_MAX_TEXTS, _MAX_FILE = 64, 16 * 1024 * 1024


class RequestError(DoctorError):
    """What was asked contradicts itself, or names what does not exist."""


class DataError(DoctorError):
    """A file of texts cannot be used."""


class ProbeRequest(ExaminationRequest):
    """What `probe` is asked."""

    entry: str | None = None
    """``module:function`` of the user's own, to be trained instead of the miniature."""
    checkpoint: Path | None = None
    """A folder with safetensors, or a GGUF file, to be looked at instead of the miniature."""
    texts: tuple[str, ...] = ()
    data: Path | None = None
    """A file of further texts."""
    train: bool = False
    """Whether the recipes are run on the checkpoint as well; everything else is always trained."""
    stress: bool = False
    """Whether planted outliers show the margins."""
    seed: int = Field(default=0, ge=0)
    attention: str | None = None
    recipes: tuple[str, ...] = tuple(RECIPES)


def probe(request: ProbeRequest, folder: Path, on_progress: OnProgress) -> Report:
    """Train what was asked for, in ``folder``.

    Raises:
        DataError: the file of texts is wrong.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        RequestError: the request contradicts itself, or names what does not exist.
        TargetError: the target interpreter cannot be examined.
    """
    check_request(request)
    return examine(request, _order(request), folder, on_progress)


def _order(request: ProbeRequest) -> ProbeOrder:
    return ProbeOrder(
        subject=Subject(
            entry=request.entry,
            checkpoint=request.checkpoint.resolve() if request.checkpoint else None,
            texts=(*request.texts, *(texts(request.data) if request.data else ())),
            stress=request.stress,
            seed=request.seed,
            attention=request.attention,
        ),
        recipes=request.recipes,
        trains=request.train or request.checkpoint is None,
    )


def texts(path: Path) -> tuple[str, ...]:
    """Return the texts of a file, at most 64: JSON Lines with a key ``text``, or one text a line.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > _MAX_FILE:
            message = f"{path}: larger than {_MAX_FILE // 1024**2} MiB; take a sample of it"
            raise DataError(message)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(message) from error
    found = tuple(_texts(path, lines))
    if not found:
        message = f"{path}: holds no text"
        raise DataError(message)
    return found[:_MAX_TEXTS]


def _texts(path: Path, lines: list[str]) -> Iterator[str]:
    is_json = path.suffix in (".jsonl", ".ndjson", ".json")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not is_json:
            yield line
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            message = f"{path}:{number}: not JSON: {error}"
            raise DataError(message) from error
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            message = f"{path}:{number}: has no string under the key 'text'"
            raise DataError(message)
        yield text


def check_request(request: ProbeRequest) -> None:
    """Check that a request can be carried out.

    Raises:
        RequestError: it contradicts itself, or names what does not exist.
    """
    message = next(_contradictions(request), None)
    if message is not None:
        raise RequestError(message)


def _contradictions(request: ProbeRequest) -> Iterator[str]:
    entry, checkpoint = request.entry, request.checkpoint
    unknown = [name for name in request.recipes if name not in RECIPES]
    if unknown:
        yield f"--recipes: {', '.join(unknown)}: no such recipe; there are {', '.join(RECIPES)}"
    if entry is not None and checkpoint is not None:
        yield "--entry and --model are two subjects; give one of them"
    if entry is not None and not all(entry.partition(":")):
        yield f"--entry: {entry!r} is not MODULE:FUNCTION, such as my_training:build"
    if checkpoint is None and (request.data or request.texts or request.train):
        yield "--text, --data and --train are about a checkpoint; name it with --model"
    if request.stress and (entry is not None or checkpoint is not None):
        yield "--stress plants outliers into the miniature; it goes with neither --entry nor --model"
