"""``vc2doctor lint``: what the code says, and what a fix makes of it."""

import time
from pathlib import Path
from typing import Literal

from vc2doctor.commands import settings
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.data import Data
from vc2doctor.findings import Severity
from vc2doctor.linter.model import LintError, LintReport
from vc2doctor.linter.run import LintTask, judge, report
from vc2doctor.linter.settings import LintSettings


class LintRequest(Data):
    """What `lint` is asked."""

    paths: tuple[Path, ...]
    precision: Literal["bf16"] | None = None
    """With a fix: make the whole change to this precision."""
    fix: bool = False
    unsafe_fixes: bool = False
    diff: bool = False
    """Show the change as a patch, and write nothing."""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Severity = Severity.ERROR
    settings_source: SettingsSource = SettingsSource(isolated=True)
    """Where settings come from; from Python: nowhere."""

    @property
    def fixes(self) -> bool:
        """Whether a fix is asked for."""
        return self.fix or self.unsafe_fixes or self.diff


def lint(request: LintRequest, folder: Path) -> LintReport:
    """Lint in ``folder``, and fix where that was asked for.

    Raises:
        LintError: a path or a rule's id does not exist, or two options exclude each other.
        FixError: a fix could not be written; nothing was.
        SettingsError: the settings in pyproject.toml cannot be used.
    """
    started = time.monotonic()
    loaded = settings.load(request.paths[0] if request.paths[0].is_dir() else folder, request.settings_source)
    task = LintTask(
        paths=request.paths,
        precision=request.precision,
        settings=_joint(loaded.lint, request),
        applied=loaded.applied,
        fail_on=request.fail_on,
    )
    if request.precision is not None and not request.fixes:
        message = "--precision says what --fix (or --diff) makes of the code; give one of them"
        raise LintError(message)
    judged = judge(task)
    if not request.fixes:
        return report(task, judged, started)
    from vc2doctor.linter.fix.transaction import fix  # noqa: PLC0415 - only here LibCST is needed

    fixed, after = fix(task, judged, unsafe=request.unsafe_fixes, write=not request.diff)
    return report(task, after, started, fixed)


def _joint(settings_of_file: LintSettings, request: LintRequest) -> LintSettings:
    """Return the settings with what the command line adds."""
    chosen = {"select": request.select, "ignore": (*settings_of_file.ignore, *request.ignore)}
    return settings_of_file.model_copy(update={name: value for name, value in chosen.items() if value})
