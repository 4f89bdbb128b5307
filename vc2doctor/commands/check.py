"""``vc2doctor check``: is this environment, with this code, fit to train?"""

from functools import partial
from pathlib import Path

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.report import CodeReading, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.environment.model import Environment


class CheckRequest(ExaminationRequest):
    """The options of ``check``."""

    probe: bool = True
    """Whether to train a few real steps; without them the versions alone decide."""
    verify_remedy: bool = False
    """Whether to try the remedy in a fresh environment. This downloads packages."""
    code: Path | None = None
    """Training code. Its contradictions become findings, and its precision decides if none is requested."""


def check(request: CheckRequest, folder: Path, on_progress: OnProgress) -> Report:
    """Examine an environment for training that is started in ``folder``.

    Raises:
        LintError: the training code does not exist.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        SettingsError: the settings of the code's project cannot be used.
        TargetError: the target interpreter cannot be examined.
    """
    order = ProbeOrder() if request.probe else None
    read_code = partial(_read_code, request, request.code) if request.code is not None else None
    report = examine(request, order, folder, on_progress, read_code)
    if not request.verify_remedy:
        return report
    from vc2doctor.commands.verify_remedy import verify  # noqa: PLC0415 - only needed if it is requested

    return report.model_copy(update={"remedy_trial": verify(report, request, folder, on_progress)})


def _read_code(request: CheckRequest, code: Path, environment: Environment) -> CodeReading:
    from vc2doctor.commands.code import read  # noqa: PLC0415 - a check without code needs no linter

    installed = {
        distribution.name: distribution.version for distribution in environment.distributions if distribution.version
    }
    return read(code, installed, request.settings_source, request.invocation or invocation_of(request))
