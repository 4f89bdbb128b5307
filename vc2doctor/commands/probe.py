"""``vc2doctor probe``: train under each precision and say what goes wrong, where and why."""

from collections.abc import Iterator
from pathlib import Path

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.report import ProbeReport, Report
from vc2doctor.commands.request import ProbeRequest
from vc2doctor.core import parsing, reading
from vc2doctor.core.errors import DoctorError
from vc2doctor.probe.spec import Subject
from vc2doctor.target.shared.recipes import RECIPES
from vc2doctor.target.shared.spec import entry_parts
from vc2doctor.target.shared.variants import ATTENTIONS

_ENTRY_ERROR = "EntryError"
"""The exception of ``target/probe/user_function.py``, which the doctor cannot import."""
MAX_TEXTS = 64
"""Each text adds a forward pass in every precision, so more texts would make the probe slow."""
MAX_DATA_BYTES = 16 * 1024 * 1024
"""The file is read as a whole, so a complete training set is refused."""


class RequestError(DoctorError):
    """The options contradict each other, or name something that does not exist."""


class DataError(DoctorError):
    """A file of texts cannot be used."""


def probe(request: ProbeRequest, folder: Path, on_progress: OnProgress) -> Report:
    """Train what ``request`` names, in ``folder``, and return the report.

    Raises:
        DataError: the file of texts is wrong.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        RequestError: the options contradict each other, or name something that does not exist or cannot be trained.
        TargetError: the target interpreter cannot be examined.
    """
    check_request(request)
    report = examine(request, _order(request), folder, on_progress)
    if request.entry is not None and report.probe is not None:
        _check_entry(request.entry, report.probe)
    return report


def _check_entry(entry: str, probe: ProbeReport) -> None:
    """Check that the entry exists, runs, and returns something that can be trained: only the target can tell.

    Raises:
        RequestError: it does not. A mistake in the option or in the user's own code is no fault of the environment.
    """
    failure = probe.load_failure
    module = entry_parts(entry)[0]
    if failure is not None and failure.type == _ENTRY_ERROR:
        message = f"--entry {entry}: {failure.message}"
        raise RequestError(message)
    missing = failure.missing if failure is not None else None
    if missing is not None and missing.symbol is None and f"{module}.".startswith(f"{missing.module}."):
        message = (
            f"--entry {entry}: there is no module {missing.module}. Check the name before the colon, and start the"
            " doctor in the directory that holds this module."
        )
        raise RequestError(message)
    wrong = next((each for each in probe.recipes if each.description.startswith(f"{_ENTRY_ERROR}: ")), None)
    if wrong is not None:
        message = f"--entry {entry}: {wrong.description.removeprefix(f'{_ENTRY_ERROR}: ')}"
        raise RequestError(message)


def _order(request: ProbeRequest) -> ProbeOrder:
    return ProbeOrder(
        subject=Subject(
            entry=request.entry,
            checkpoint=request.checkpoint.resolve() if request.checkpoint else None,
            texts=(*request.texts, *(texts(request.data) if request.data else ())),
            stress=request.stress,
            seed=request.seed,
            attention=request.attention,
            compiled=request.compiled,
            deterministic=request.deterministic,
            rl=request.rl,
        ),
        recipes=request.recipes,
        trains=request.train or request.checkpoint is None,
    )


def texts(path: Path) -> tuple[str, ...]:
    """Return the texts of a file, at most 64: JSON Lines with a key ``text``, or one text per line.

    Raises:
        DataError: the file cannot be read, or holds no text.
    """
    try:
        lines = reading.read_text(path, MAX_DATA_BYTES).splitlines()
    except reading.LargeFileError as error:
        message = f"{path}: larger than {MAX_DATA_BYTES // 1024**2} MiB. Take a sample of it."
        raise DataError(message) from error
    except reading.ReadError as error:
        raise DataError(str(error)) from error
    # All lines are parsed, so that a mistake in a later line is reported as well.
    parsed = tuple(_parse_lines(path, lines))
    if not parsed:
        message = f"{path}: holds no text"
        raise DataError(message)
    return parsed[:MAX_TEXTS]


def _parse_lines(path: Path, lines: list[str]) -> Iterator[str]:
    is_json = path.suffix in (".jsonl", ".ndjson", ".json")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not is_json:
            yield line
            continue
        try:
            record = parsing.parse_json(line)
        except parsing.MalformedError as error:
            message = f"{path}:{number}: not JSON: {error}"
            raise DataError(message) from error
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            message = f"{path}:{number}: has no string under the key 'text'"
            raise DataError(message)
        yield text


def check_request(request: ProbeRequest) -> None:
    """Check that the options of a request fit together.

    Raises:
        RequestError: they contradict each other, or name something that does not exist.
    """
    message = next(_contradictions(request), None)
    if message is not None:
        raise RequestError(message)


def _contradictions(request: ProbeRequest) -> Iterator[str]:
    entry, checkpoint = request.entry, request.checkpoint
    unknown = [name for name in request.recipes if name not in RECIPES]
    if unknown:
        yield f"--recipes: there is no recipe {', '.join(unknown)}; choose from {', '.join(RECIPES)}"
    wrong = [name for name in request.attention if name not in ATTENTIONS]
    if wrong:
        yield f"--attention: there is no attention code {', '.join(wrong)}; choose from {', '.join(ATTENTIONS)}"
    if checkpoint is not None and not request.train and _order(request).subject.variants:
        yield "--compile, --deterministic and a second name in --attention need training: pass --train"
    if request.rl and entry is not None:
        yield "--rl needs a language model: use it with --model, or without --entry"
    if entry is not None and checkpoint is not None:
        yield "--entry and --model exclude each other: pass one of them"
    if entry is not None:
        yield from _wrong_entry(entry)
    if checkpoint is None and (request.data or request.texts or request.train):
        yield "--text, --data and --train need a checkpoint: pass it with --model"
    if request.stress and (entry is not None or checkpoint is not None):
        yield "--stress plants outliers in the miniature, so it cannot be used with --entry or --model"


def _wrong_entry(entry: str) -> Iterator[str]:
    place, function = entry_parts(entry)
    if not place or not function:
        yield f"--entry: {entry!r} is not MODULE:FUNCTION or FILE.py:FUNCTION, such as my_training:build"
    elif place.endswith(".py") and not Path(place).is_file():
        fault = f"{place} is not a regular file" if Path(place).exists() else f"there is no file {place}"
        yield f"--entry: {fault}. Check the path before the colon."
