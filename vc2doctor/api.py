"""The doctor from Python: the commands as typed functions, without side effects at import.

    from vc2doctor import api

    report = api.check(api.CheckRequest(python=".venv", precision="bf16"))
    answer = api.judge({"torch": "2.5.1", "transformers": "4.57.3", "peft": "0.11.1"})
    lint_report = api.check_code(api.LintRequest(paths=(Path("src"),)))

Each function raises ``DoctorError`` in the cases in which the command ends with exit code 2. No function applies the
options of a settings file; ``check`` reads one for linting the code in its request, if there is code.
"""

from collections.abc import Mapping
from pathlib import Path

from vc2doctor.commands.check import CheckRequest
from vc2doctor.commands.check import check as run_check
from vc2doctor.commands.examine import OnProgress
from vc2doctor.commands.lint import LintRequest
from vc2doctor.commands.lint import lint as run_lint
from vc2doctor.commands.report import Report
from vc2doctor.commands.versions import VersionsAnswer, judge_versions
from vc2doctor.core.errors import DoctorError
from vc2doctor.linter.model import LintReport
from vc2doctor.target.shared.recipes import recipe_named

__all__ = [
    "CheckRequest",
    "DoctorError",
    "LintReport",
    "LintRequest",
    "Report",
    "VersionsAnswer",
    "check",
    "check_code",
    "judge",
]


def check(
    request: CheckRequest | None = None, *, folder: Path | None = None, on_progress: OnProgress | None = None
) -> Report:
    """Examine an environment for training that is started in ``folder`` (default: the working directory).

    Raises:
        DoctorError: the request, the matrix or the target interpreter cannot be used.
    """
    return run_check(request or CheckRequest(), folder or Path.cwd(), on_progress or (lambda _: None))


def judge(versions: Mapping[str, str], *, precision: str = "bf16", matrix: Path | None = None) -> VersionsAnswer:
    """Return the verdict on versions by package name (``python`` may be one). They need not be installed.

    Raises:
        DoctorError: a name or version is wrong, or the matrix cannot be used.
        ValueError: there is no such precision recipe.
    """
    return judge_versions(versions, recipe_named(precision), matrix)


def check_code(request: LintRequest, *, folder: Path | None = None) -> LintReport:
    """Lint training code, and fix it if the request says so.

    Raises:
        DoctorError: a path or a rule's id does not exist, two options exclude each other, or a file cannot be written.
    """
    return run_lint(request, folder or Path.cwd())
