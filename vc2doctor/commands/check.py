"""``vc2doctor check``: is this environment, with this code, fit to train?"""

from functools import partial
from pathlib import Path

from vc2doctor.commands.examine import OnProgress, ProbeOrder, examine
from vc2doctor.commands.report import CodeReading, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.environment.model import Environment


class CheckRequest(ExaminationRequest):
    """What `check` is asked."""

    probe: bool = True
    """Whether a few real steps are trained; else versions alone decide."""
    code: Path | None = None
    """Training code: its contradictions are findings, and its precision decides where none was asked for."""


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
    return examine(request, order, folder, on_progress, read_code)


def _read_code(request: CheckRequest, code: Path, environment: Environment) -> CodeReading:
    from vc2doctor.commands import code as reading  # noqa: PLC0415 - a check without code needs no linter

    installed = {each.name: each.version for each in environment.distributions if each.version}
    return reading.read(code, installed, request.settings_source)
