"""One examination from start to end: facts, probe, checks, report."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vc2doctor import __version__, checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import Plan
from vc2doctor.commands.report import CodeReading, ProbeReport, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.core.data import Data
from vc2doctor.environment import interpreter
from vc2doctor.environment.gather import gather
from vc2doctor.environment.model import Environment
from vc2doctor.matrix import load
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import not_measured, outcomes, self_test, stress
from vc2doctor.probe.run import probe
from vc2doctor.probe.spec import Subject, spec_of
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

DEFAULT_PROFILE = "videochat2-mistral"

OnProgress = Callable[[str], None]
"""Is given, in words, what is under way."""


class ProbeOrder(Data):
    """What the probe is to train, and under which recipes."""

    subject: Subject = Subject()
    recipes: tuple[str, ...] = tuple(RECIPES)
    trains: bool = True
    """Whether steps are taken; the range of a checkpoint can be measured without."""


def examine(
    request: ExaminationRequest,
    order: ProbeOrder | None,
    folder: Path,
    on_progress: OnProgress,
    read_code: Callable[[Environment], CodeReading] | None = None,
) -> Report:
    """Examine an environment for training that is started in ``folder``.

    ``order`` is what the probe does (``None``: there is no probe); ``read_code`` reads the training code, if any.

    Raises:
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        TargetError: the target interpreter cannot be examined.
    """
    started = time.monotonic()
    matrix = load.load(request.matrix or load.shipped())
    profile = load.profile(matrix, request.profile or DEFAULT_PROFILE)
    python = interpreter.find(request.python)
    on_progress("reading what is installed")
    environment = gather(python, folder)
    code = CodeReading()
    if read_code is not None:
        on_progress("reading the training code")
        code = read_code(environment)
    examination = Examination(
        environment=environment,
        code=code.findings,
        matrix=matrix,
        profile=profile,
        explicit_profile=request.profile is not None,
        plan=_plan(request, order, code, profile.name, profile.precision.recommended),
    )
    if order is not None and not examination.missing:
        recipes = _recipes(order, examination.plan.precision)
        spec = spec_of(profile, order.subject)
        done = probe(python, request.device, recipes, request.timeout, on_progress, spec)
        examination = examination.model_copy(update={"probe": done})
    return report_on(examination, time.monotonic() - started)


def _plan(request: ExaminationRequest, order: ProbeOrder | None, code: CodeReading, profile: str, usual: str) -> Plan:
    subject = order.subject if order else Subject()
    return Plan(
        profile=profile,
        precision=request.precision or code.precision or usual,
        device=request.device,
        require_gpu=request.require_gpu,
        probe=order is not None,
        fail_on=request.fail_on,
        entry=subject.entry,
        checkpoint=str(subject.checkpoint) if subject.checkpoint else None,
        trains=order.trains if order else True,
        code=code.path,
        code_recipes=code.recipes,
        code_silenced=code.silenced,
        settings=request.settings,
        code_settings=code.settings,
    )


def _recipes(order: ProbeOrder, decisive: str) -> list[str]:
    """Return the recipes to run, in the order of the table; the control and the decisive one are always among them."""
    wanted = {CONTROL, decisive, *order.recipes} if order.trains else set()
    return [name for name in RECIPES if name in wanted]


def report_on(examination: Examination, seconds: float) -> Report:
    """Return the report on an examination that took ``seconds``."""
    findings = checks.run(examination)
    reached = verdict.verdict(examination, findings)
    return Report(
        doctor=__version__,
        verdict=reached,
        exit_code=verdict.exit_code(reached, findings, examination.plan.fail_on),
        plan=examination.plan,
        environment=examination.environment,
        combination=examination.judgement,
        probe=_probe_report(examination.probe) if examination.probe else None,
        findings=findings,
        seconds=round(seconds, 3),
    )


_SHARED = (
    *(
        "ending",
        "stage",
        "warm_up",
        "worker",
        "imports",
        "import_package",
        "import_failure",
        "device",
        "device_failure",
    ),
    *("loaded", "load_failure", "inspection", "headroom", "range_broken", "measures", "adapter", "malformed_events"),
)
"""Facts of a probe run that the report holds as they are."""


def _probe_report(run: ProbeRun) -> ProbeReport:
    facts: Mapping[str, Any] = {name: getattr(run, name) for name in _SHARED}
    return ProbeReport(
        **facts,
        seconds=run.child.seconds,
        recipes=outcomes(run),
        self_test=self_test(run),
        stress=stress(run),
        not_measured=not_measured(run),
    )
