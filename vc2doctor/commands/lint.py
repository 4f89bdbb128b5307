"""``vc2doctor lint``: lint training code, and fix it if requested."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vc2doctor.commands import decisions, lint_decisions, settings
from vc2doctor.commands.invocation import settings_options
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.data import Data
from vc2doctor.core.invocation import Invocation, Option
from vc2doctor.findings import Severity
from vc2doctor.linter.model import FixError, LintError, LintReport
from vc2doctor.linter.run import LintResult, LintTask, apply_rules, report
from vc2doctor.linter.settings import LintSettings
from vc2doctor.matrix.gpus import load_gpus
from vc2doctor.matrix.hardware import NATIVE_BF16
from vc2doctor.matrix.load import shipped


class LintRequest(Data):
    """The options of ``lint``."""

    paths: tuple[Path, ...]
    precision: Literal["bf16"] | None = None
    """With a fix: switch each program to this precision, completely or not at all."""
    fix: bool = False
    unsafe_fixes: bool = False
    diff: bool = False
    """Show the change as a patch, and write nothing."""
    gpu: str | None = None
    """With a fix: the GPU that the code will train on. It decides the precision."""
    allow_dirty: bool = False
    """Write files that have uncommitted changes, too. Git cannot restore those."""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    python: str | None = None
    """The interpreter, or the folder of a venv, whose installed packages names and arguments are judged by."""
    user_config: bool = False
    """Whether accelerate's default file of the user is read, too."""
    replacements: bool = False
    """Whether the report shall hold the text of each fix that is safe. LibCST needs some time for that."""
    fail_on: Severity = Severity.ERROR
    baseline: Path | None = None
    """A file with the findings that do not count, because they were there before."""
    update_baseline: bool = False
    """Whether that file is written with the findings of this run."""
    settings_source: SettingsSource = SettingsSource(isolated=True)
    """Which settings file is read. From Python the default is none."""
    program: tuple[str, ...] = ("vc2doctor",)
    """The words that started the doctor."""

    @property
    def fixes(self) -> bool:
        """Whether a fix is requested."""
        return self.fix or self.unsafe_fixes or self.diff


def lint(request: LintRequest, folder: Path) -> LintReport:
    """Lint the paths of ``request``, and fix them if requested. Settings are looked for at or above ``folder``.

    Raises:
        LintError: a path or a rule's id does not exist, or two options exclude each other.
        FixError: a fix could not be written; no file was changed.
        SettingsError: the settings in pyproject.toml cannot be used.
        TargetError: the interpreter cannot be asked what is installed.
    """
    start_time = time.monotonic()
    loaded = settings.load(request.paths[0] if request.paths[0].is_dir() else folder, request.settings_source)
    known = request.baseline or loaded.settings.baseline
    judge = decisions.judge(loaded.settings.policy, known, update=request.update_baseline)
    task = LintTask(
        paths=request.paths,
        precision=_precision(request),
        settings=_combined(loaded.lint, request),
        applied=loaded.applied,
        installed=_installed(request.python, folder),
        user_config=request.user_config,
        fail_on=request.fail_on,
        invocation=Invocation(program=request.program, verb="lint", options=tuple(_options(request))),
    )
    if task.precision is not None and not request.fixes:
        option = "--precision" if request.precision is not None else "--gpu"
        message = f"{option} says what --fix changes the code to. Add --fix to write the change, or --diff to see it."
        raise LintError(message)
    result = apply_rules(task)
    if not request.fixes:
        decided = lint_decisions.decided(result, judge, loaded.applied)
        return report(task, _with_replacements(decided) if request.replacements else decided, start_time)
    from vc2doctor.linter.fix.transaction import fix  # noqa: PLC0415 - only here LibCST is needed

    try:
        fix_result, result_after = fix(
            task, result, unsafe=request.unsafe_fixes, write=not request.diff, allow_dirty=request.allow_dirty
        )
    except (RecursionError, MemoryError) as error:
        message = "a file is nested too deeply to be changed, so nothing was written. Name the other files."
        raise FixError(message) from error
    return report(task, lint_decisions.decided(result_after, judge, loaded.applied), start_time, fix_result)


def _options(request: LintRequest) -> Iterator[Option]:
    """Yield the options that every command of the report repeats."""
    if request.python is not None:
        yield "--python", request.python
    yield from settings_options(request.settings_source)


def _installed(python: str | None, folder: Path) -> dict[str, str]:
    """Return the versions that are installed for ``python``; without an interpreter nothing is known of them."""
    if python is None:
        return {}
    from vc2doctor.environment import choice, interpreter  # noqa: PLC0415 - most runs start no interpreter
    from vc2doctor.environment.model import versions_of  # noqa: PLC0415

    return versions_of(interpreter.observe(choice.choose(python, folder).python).distributions)


def _with_replacements(result: LintResult) -> LintResult:
    from vc2doctor.linter.fix.replacements import with_replacements  # noqa: PLC0415 - only here LibCST is needed

    return result._replace(findings=with_replacements(result.findings, result.facts.code.files.root))


def _precision(request: LintRequest) -> Literal["bf16", "fp16"] | None:
    """Return the precision that a fix switches to: what was asked for, or what the GPU has.

    Raises:
        LintError: the GPU is not known, or has no bfloat16 although that was asked for.
    """
    if request.gpu is None:
        return request.precision
    table = load_gpus(shipped())
    capability = table.capability(request.gpu)
    if capability is None:
        message = f"there is no GPU {request.gpu!r} in the table; it has {', '.join(table.capabilities)}"
        raise LintError(message)
    if capability >= NATIVE_BF16:
        return "bf16"
    if request.precision == "bf16":
        version = ".".join(map(str, capability))
        message = (
            f"{request.gpu} has compute capability {version} and only emulates bfloat16, which begins at 8.0."
            " Leave out --precision: --gpu chooses float16 with loss scaling."
        )
        raise LintError(message)
    return "fp16"


def _combined(file_settings: LintSettings, request: LintRequest) -> LintSettings:
    """Return the settings of the file with those of the command line: ``--select`` replaces, ``--ignore`` adds."""
    options = {"select": request.select, "ignore": (*file_settings.ignore, *request.ignore)}
    return file_settings.model_copy(update={name: value for name, value in options.items() if value})
