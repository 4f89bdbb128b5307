"""What ``vc2doctor lint`` does: settings and options become a request, the request a report."""

from pathlib import Path
from typing import Literal

from vc2doctor import settings
from vc2doctor.data import Data
from vc2doctor.findings import Severity
from vc2doctor.lint.errors import LintError
from vc2doctor.lint.model import LintReport
from vc2doctor.lint.run import LintRequest, judge, report
from vc2doctor.lint.silence import LintSettings
from vc2doctor.settings import SettingsSource


class Asked(Data):
    """The options of the command line."""

    paths: tuple[Path, ...]
    precision: Literal["bf16"] | None = None
    fix: bool = False
    unsafe_fixes: bool = False
    diff: bool = False
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Severity | None = None
    source: SettingsSource = SettingsSource()


def run(asked: Asked, folder: Path, started: float) -> LintReport:
    """Lint, and fix where that was asked for.

    Raises:
        LintError: a path or a rule's id does not exist, or two options exclude each other.
        FixError: a fix could not be written; nothing was.
        SettingsError: the settings in pyproject.toml cannot be used.
    """
    loaded = settings.load(asked.paths[0] if asked.paths[0].is_dir() else folder, asked.source)
    request = LintRequest(
        paths=asked.paths,
        precision=asked.precision,
        settings=_joint(loaded.lint, asked),
        applied=loaded.applied,
        fail_on=asked.fail_on or Severity.ERROR,
    )
    fixing = asked.fix or asked.unsafe_fixes or asked.diff
    if asked.precision is not None and not fixing:
        message = "--precision says what --fix (or --diff) makes of the code; give one of them"
        raise LintError(message)
    judged = judge(request)
    if not fixing:
        return report(request, judged, started)
    from vc2doctor.lint.fixer.plan import fix  # noqa: PLC0415 - only here LibCST is needed

    fixed, after = fix(request, judged, unsafe=asked.unsafe_fixes, write=not asked.diff)
    return report(request, after, started, fixed)


def _joint(settings_of_file: LintSettings, asked: Asked) -> LintSettings:
    given = {"select": asked.select, "ignore": (*settings_of_file.ignore, *asked.ignore)}
    return settings_of_file.model_copy(update={name: value for name, value in given.items() if value})
