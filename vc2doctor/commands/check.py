"""``vc2doctor check``: is this environment, with this code, fit to train?"""

from functools import partial
from pathlib import Path

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.report import CodeReading, Report
from vc2doctor.commands.request import CheckRequest
from vc2doctor.environment.model import Environment


def check(request: CheckRequest, folder: Path, on_progress: OnProgress) -> Report:
    """Examine an environment for training that is started in ``folder``.

    Raises:
        LintError: the training code does not exist.
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        SettingsError: the settings of the code's project cannot be used.
        TargetError: the target interpreter cannot be examined.
    """
    order = ProbeOrder(only_used=request.code is not None) if request.probe else None
    read = partial(read_code, request, request.code) if request.code is not None else None
    report = examine(request, order, folder, on_progress, read)
    if not request.verify_remedy:
        return report
    from vc2doctor.commands.verify_remedy import verify  # noqa: PLC0415 - only needed if it is requested

    return report.model_copy(update={"remedy_trial": verify(report, request, folder, on_progress)})


def read_code(request: CheckRequest, code: Path, environment: Environment) -> CodeReading:
    """Lint the training code at ``code`` for ``environment``.

    Raises:
        LintError: the training code does not exist.
        SettingsError: the settings of the code's project cannot be used.
    """
    from vc2doctor.commands.code import read  # noqa: PLC0415 - a check without code needs no linter

    return read(code, environment.all_versions, request.settings_source, request.invocation or invocation_of(request))
