"""The doctor from Python: four typed functions, without side effects at import.

    from vc2doctor import api

    report = api.check(python=".venv", code="train.py", precision="bf16")
    answer = api.judge({"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"})
    findings = api.check_code("src").findings
    api.show(report)  # as the value of a notebook's cell: the HTML page

What ``__all__`` names is stable: a name, a parameter or the key of an option goes only with a new major version. The
fields of ``Report`` and ``LintReport`` are those of the JSON reports, whose ``schema`` is their version.

Every function raises a ``DoctorError`` where the command would end with exit code 2, and for nothing else that a user
can cause: a fault of an environment or of code is a finding. No function reads settings files or the cache, prints, or
changes signals, environment variables or the working directory. ``KeyboardInterrupt`` ends the children, too.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import ValidationError
from typing_extensions import TypedDict, Unpack

from vc2doctor.checks.policy import PolicyEntry
from vc2doctor.commands import versions as versions_command
from vc2doctor.commands.check import check as run_check
from vc2doctor.commands.lint import LintRequest
from vc2doctor.commands.lint import lint as run_lint
from vc2doctor.commands.report import Report
from vc2doctor.commands.request import CheckRequest
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.commands.versions import VersionsAnswer
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.model import LintReport
from vc2doctor.matrix.parse import from_names
from vc2doctor.report import formats
from vc2doctor.target.doors import door_named
from vc2doctor.target.shared.recipes import recipe_named

if TYPE_CHECKING:
    from vc2doctor.report.html.notebook import NotebookView

__all__ = [
    "ArgumentError",
    "CheckOptions",
    "CodeOptions",
    "DoctorError",
    "Finding",
    "LintReport",
    "PolicyEntry",
    "Report",
    "Severity",
    "VersionsAnswer",
    "check",
    "check_code",
    "judge",
    "show",
]

AnyPath = str | Path
SeverityName = Literal["note", "warning", "error"]
RequestT = TypeVar("RequestT", bound=Data)


class ArgumentError(DoctorError, ValueError):
    """An argument has a value that it cannot have. The message names the argument and the value."""


class CheckOptions(TypedDict, total=False):
    """The options of ``check``: those of the command, under the same names."""

    python: AnyPath
    """An interpreter, or the folder of a venv. Default: the active environment, else the interpreter that runs this."""
    code: AnyPath
    """Training code. Its faults become findings, and its precision decides if none is requested."""
    profile: str
    """The project that it is judged as. Default: what the code says, else a plain language model."""
    precision: str
    """The recipe that decides the verdict. Default: that of the code, else that of the profile."""
    learning_rate: float
    doors: Sequence[str]
    """The ways into the stack that matter. Default: those of the code, else transformers.Trainer."""
    device: str
    """``auto`` (default), ``cpu`` or ``cuda:N``."""
    timeout: float
    """The time limit of each phase, in seconds."""
    require_gpu: bool
    probe: bool
    """Whether to train a few steps (default). Without them the verdict is ``unproven``, unless ``accept`` says more."""
    accept: Literal["versions", "inferred"]
    """Without a probe: the versions that are enough for ``fit``, measured ones, or also those inferred from them."""
    fail_on: SeverityName
    """The lowest severity with which ``Report.exit_code`` is 1 (default: ``error``)."""
    matrix: AnyPath
    """The folder of another known-good matrix."""
    policy: Mapping[str, PolicyEntry | Mapping[str, Any]]
    """What your team decided about findings, by id, as in ``[tool.vc2doctor.policy]``."""
    baseline: AnyPath
    """A file with findings that were there before: they do not count."""
    stack_map: bool
    """Whether the report has the map of transformers and peft, which ``show`` draws. It takes some seconds."""


class CodeOptions(TypedDict, total=False):
    """The options of ``check_code``: those of ``vc2doctor lint``, under the same names."""

    select: Sequence[str]
    """Beginnings of the ids of the rules that run. Default: all."""
    ignore: Sequence[str]
    """Beginnings of the ids of the rules that do not run."""
    fail_on: SeverityName
    baseline: AnyPath
    """A file with findings that were there before: they do not count."""


def check(
    *, folder: AnyPath | None = None, on_progress: Callable[[str], None] | None = None, **options: Unpack[CheckOptions]
) -> Report:
    """Examine an environment, train a few real steps in it, and say whether it is fit to train.

    This starts the interpreter of the environment, and takes about ten seconds. ``folder`` is the one that training is
    started in (default: the working directory). ``on_progress`` is called with each step in words.

    Raises:
        ArgumentError: an option has a value that it cannot have.
        DoctorError: the target interpreter, the code, the matrix or the baseline cannot be used.
    """
    values: dict[str, Any] = dict(options)
    if "python" in values:
        values["python"] = str(values["python"])
    request = _validated(CheckRequest, {**values, "settings_source": SettingsSource(isolated=True)})
    return run_check(request, Path(folder) if folder is not None else Path.cwd(), on_progress or _ignore)


def judge(
    versions: Mapping[str, str],
    *,
    precision: str = "bf16",
    doors: Sequence[str] | None = None,
    model_types: Sequence[str] = (),
    matrix: AnyPath | None = None,
) -> VersionsAnswer:
    """Return what the matrix knows about versions by package name. Nothing needs to be installed, and nothing is run.

    ``python`` may be among the names. A version may be a range (``>=4.40,<4.45``), or an empty text for the newest
    release. ``doors`` are the ways into the stack that decide (default: those of most people), and ``model_types`` the
    types of the model, as its ``config.json`` names them.

    Raises:
        ArgumentError: there is no such precision or door.
        DoctorError: a name or version is wrong, or the matrix cannot be used.
    """
    try:
        recipe = recipe_named(precision)
        named = tuple(map(door_named, doors)) if doors is not None else None
    except ValueError as error:
        raise ArgumentError(str(error)) from error
    goal = versions_command.goal_of(recipe, named)
    folder = Path(matrix) if matrix is not None else None
    return versions_command.judge(from_names(versions), goal, folder, tuple(model_types))


def show(report: Report | LintReport) -> "NotebookView":
    """Return a view of a report that a notebook shows as HTML, and a console as its verdict in one line.

    A report has the map of transformers and peft if ``check`` got ``stack_map=True``.

    Raises:
        DoctorError: the packages of the extra ``html`` are not installed.
    """
    formats.check_ready("html")
    from vc2doctor.report.html.notebook import NotebookView  # noqa: PLC0415 - it needs the extra

    return NotebookView(report)


def check_code(path: AnyPath | Sequence[AnyPath] = ".", **options: Unpack[CodeOptions]) -> LintReport:
    """Read training code and return where its precision settings contradict each other. Nothing is run or changed.

    ``path`` is a file, a folder, or several of them.

    Raises:
        ArgumentError: an option has a value that it cannot have.
        DoctorError: a path or a rule does not exist, or the baseline cannot be used.
    """
    paths = (path,) if isinstance(path, str | Path) else tuple(path)
    if not paths:
        message = "path: name at least one file or folder"
        raise ArgumentError(message)
    values: dict[str, Any] = {**options, "paths": tuple(map(Path, paths))}
    return run_lint(_validated(LintRequest, values), Path.cwd())


def _validated(request: type[RequestT], values: Mapping[str, Any]) -> RequestT:
    try:
        return request.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = f"{name}: {first['msg']}, not {first['input']!r}"
        raise ArgumentError(message) from error


def _ignore(_: str) -> None:
    """Ignore a step."""
