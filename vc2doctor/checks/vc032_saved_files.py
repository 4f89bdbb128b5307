"""A local file that your code loads was written by a release that the installed one cannot read.

The files are those that a call, a command or a configuration names: a folder for ``from_pretrained``, an adapter, a
tokenizer, a checkpoint to go on from, parquet files and folders for datasets. The probe loads the configuration, the
tokenizer or the description of the data in your environment, without weights and without code that came with it.
Without a probe, keys decide that releases were measured to refuse or to leave out.

Why it matters: newer releases write keys and types that older ones refuse, with messages such as ``data did not match
any variant of untagged enum ModelWrapper`` or ``got an unexpected keyword argument``. Some are left out without an
error, such as the base of the rotary positions in config.json: the model then trains with other positions than it had.

What to do: run the command, which installs a release that reads the file, or write the file again with the installed
release.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import FileMark, SavedFile
from vc2doctor.checks.symptoms import describe
from vc2doctor.core.failure import Failure
from vc2doctor.core.versions import version
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.file_trials import FileTrial

_URLS = {
    "adapter": "https://huggingface.co/docs/peft/main/en/developer_guides/checkpoint",
    "parquet": "https://huggingface.co/docs/datasets/main/en/about_dataset_features",
    "dataset": "https://huggingface.co/docs/datasets/main/en/about_dataset_features",
    "tokenizer": "https://github.com/huggingface/tokenizers/releases",
}
_URL = "https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md"
_PACKAGES = {"adapter": "peft", "parquet": "datasets", "dataset": "datasets"}
"""The package that loads a kind of file; transformers loads the others."""
_MISSING_PACKAGE = ("ImportError", "ModuleNotFoundError")
MAX_KEYS = 4

Change = tuple[str, tuple[str, ...]]
"""A remedy in words, and its commands."""
_NOTHING: Change = ("", ())
_DATA = "datasets"


def check(examination: Examination) -> Iterator[Finding]:
    """Find local files that the installed releases cannot load, or load only in part."""
    files = [_without_what_loads(examination, file) for file in examination.saved_files]
    files = [file for file in files if not _is_reported_elsewhere(examination, file)]
    remedies = _remedies(examination, [mark for file in files for mark in file.marks])
    for file in files:
        trial, was_tried = _trial(examination, file)
        refused = tuple(mark for mark in file.marks if not mark.is_ignored)
        together = next((remedies[mark.package] for mark in file.marks), _NOTHING)
        remedy = together if together[1] else _remedy(examination, file.marks)
        if trial is not None and trial.error is not None:
            yield _refused(examination, file, refused, remedy, trial.error)
        elif refused:
            yield _refused(examination, file, refused, remedy, None)
        elif file.problem and not was_tried:
            yield _unread(file)
        elif file.marks or trial is not None:
            yield _ignored(examination, file, remedy, trial)


def _without_what_loads(examination: Examination, file: SavedFile) -> SavedFile:
    """Return a file without the keys that should be refused, if the target loads it: that outweighs what is known."""
    trial, was_tried = _trial(examination, file)
    if not was_tried or (trial is not None and trial.error is not None):
        return file
    return file.model_copy(update={"marks": tuple(mark for mark in file.marks if mark.is_ignored)})


def _is_reported_elsewhere(examination: Examination, file: SavedFile) -> bool:
    """Return whether VC023 reports the file: it says what is wrong with the architecture that decides."""
    failure = examination.architecture_failure
    is_judged = file.kind == "config" and file.file == examination.plan.judged_as.config
    types = examination.plan.judged_as.model_types
    installed = examination.versions.get("transformers", "0")
    lacks = bool(types) and examination.matrix.architectures.lacks(installed, types[0])
    return file.is_custom or (is_judged and (lacks or (failure is not None and failure.stage == "unknown")))


def _trial(examination: Examination, file: SavedFile) -> tuple[FileTrial | None, bool]:
    """Return what went wrong when the target loaded a file, and whether it was loaded at all."""
    run = examination.probe.files if examination.probe is not None else None
    if run is None:
        return None, False
    key = file.kind, file.target
    failed = next((each for each in run.failed if (each.kind, each.path) == key), None)
    return failed, key in run.tried


def _refused(
    examination: Examination, file: SavedFile, marks: tuple[FileMark, ...], change: Change, error: Failure | None
) -> Finding:
    remedy, commands = change
    if marks:
        message = f"{marks[0].file} cannot be loaded: {_keys(examination, marks, 'cannot read')}"
    else:
        package = _PACKAGES.get(file.kind, "transformers")
        installed = f"{package} {examination.versions.get(package, '')}".rstrip()
        message, commands = f"{file.file} cannot be loaded with {installed}", ()
        remedy = f"Write the file again with {installed}, or install the release of {package} that wrote it."
        if error is not None and error.missing is not None:
            remedy, commands = advice.install_what_fails(examination, error)
        elif error is not None and error.type in _MISSING_PACKAGE:
            remedy = "Install the package that the message names."
    evidence = (describe(error),) if error is not None else ()
    return _finding(file, Severity.ERROR, message, (*evidence, *_of_marks(marks)), remedy, commands, marks)


def _ignored(examination: Examination, file: SavedFile, change: Change, trial: FileTrial | None) -> Finding:
    seen, marks = trial.ignored if trial is not None else (), file.marks
    if marks:
        remedy, commands = change
        message = f"{marks[0].file} is loaded without a part of it: {_keys(examination, marks, 'leaves out')}"
    else:
        package = _PACKAGES.get(file.kind, "transformers")
        message = f"{file.file} is loaded without a part of it: {enumerated(seen)}"
        remedy, commands = f"Install the release of {package} that wrote it.", ()
    evidence = tuple(f"seen in this environment: {each}" for each in seen)
    return _finding(file, Severity.WARNING, message, (*evidence, *_of_marks(marks)), remedy, commands, marks)


def _unread(file: SavedFile) -> Finding:
    message = f"{file.file} was not judged: {file.problem}"
    remedy = "Check the file: what it needs of the installed releases is unknown."
    return _finding(file, Severity.WARNING, message, (), remedy, (), ())


def _keys(examination: Examination, marks: tuple[FileMark, ...], verb: str) -> str:
    """Return ``it has corda_config, which peft 0.15.0 and newer write and peft 0.13.2 cannot read``."""
    newest = max(marks, key=lambda mark: version(mark.written_since))
    keys = list(dict.fromkeys(mark.key for mark in marks if mark.package == newest.package))
    shown = keys[:MAX_KEYS] + ([f"{len(keys) - MAX_KEYS} more"] if len(keys) > MAX_KEYS else [])
    installed = examination.versions[newest.package]
    return (
        f"it has {enumerated(shown)}, which {newest.package} {newest.written_since} and newer write and"
        f" {newest.package} {installed} {verb}"
    )


def _of_marks(marks: tuple[FileMark, ...]) -> Iterator[str]:
    for mark in marks[: 2 * MAX_KEYS]:
        yield f"{mark.file}: {mark.key}; {mark.package} writes it since {mark.written_since}"


def _remedies(examination: Examination, marks: list[FileMark]) -> dict[str, Change]:
    """Return the change for all files, by package: the remedy of one file must not leave another unreadable.

    datasets is changed by a command of its own, because measured sets of the stack are searched without it.
    """
    of_data = tuple(mark for mark in marks if mark.package == _DATA)
    of_stack = tuple(mark for mark in marks if mark.package != _DATA)
    changes = ((each, _remedy(examination, each)) for each in (of_data, of_stack) if each)
    return {mark.package: change for group, change in changes for mark in group}


def _remedy(examination: Examination, marks: tuple[FileMark, ...]) -> Change:
    """Return the one change that makes all these keys readable."""
    wanted: dict[str, str] = {}
    for mark in sorted(marks, key=lambda mark: version(mark.read_since)):
        wanted[mark.package] = f">={mark.read_since}"
    return advice.change_to_meet_all(examination, wanted)


def _finding(  # noqa: PLR0913, PLR0917 - the parts of a finding
    file: SavedFile,
    severity: Severity,
    message: str,
    evidence: tuple[str, ...],
    remedy: str,
    commands: tuple[str, ...],
    marks: tuple[FileMark, ...],
) -> Finding:
    return Finding(
        id="VC032",
        severity=severity,
        message=message,
        evidence=evidence,
        remedy=remedy,
        commands=commands,
        url=_URLS.get(file.kind, _URL),
        path=file.path,
        line=file.line,
        packages=tuple(dict.fromkeys(mark.package for mark in marks)),
    )
