"""One examination from start to end: facts, probe, checks, report."""

import time
from collections.abc import Callable
from pathlib import Path

from vc2doctor import __version__, checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import Plan
from vc2doctor.commands import judged_as
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.judged_as import Choice
from vc2doctor.commands.report import CodeReading, ProbeReport, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.core.data import Data
from vc2doctor.environment.choice import choose as choose_target
from vc2doctor.environment.gather import gather
from vc2doctor.environment.interpreter import DEFAULT_SECONDS as DESCRIPTION_SECONDS
from vc2doctor.environment.model import Environment
from vc2doctor.linter import dependents
from vc2doctor.matrix import load
from vc2doctor.probe.doors import door_outcomes, not_tried
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import not_measured, outcomes, self_test, stress
from vc2doctor.probe.run import probe
from vc2doctor.probe.spec import Subject, spec_of
from vc2doctor.target.doors import DEFAULT_DOORS, LOOP
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

PROBE_SECONDS = 300.0
"""Time limit of the probe if the user names none; on two cores it needs about 10 s."""

OnProgress = Callable[[str], None]
"""Is called with a description of each step that begins."""


class ProbeOrder(Data):
    """What the probe shall train, and under which recipes."""

    subject: Subject = Subject()
    recipes: tuple[str, ...] = tuple(RECIPES)
    trains: bool = True
    """Whether training steps are run. The range of a checkpoint can be measured without them."""


def examine(
    request: ExaminationRequest,
    order: ProbeOrder | None,
    folder: Path,
    on_progress: OnProgress,
    read_code: Callable[[Environment], CodeReading] | None = None,
) -> Report:
    """Examine an environment for training that is started in ``folder``.

    Without an ``order`` there is no probe. ``read_code`` lints the training code, if there is any.

    Raises:
        MatrixError: a file of the matrix is wrong, or the profile does not exist.
        TargetError: the target interpreter cannot be examined.
    """
    start_time = time.monotonic()
    matrix = load.load(request.matrix or load.shipped())
    # A wrong name is reported before anything is started.
    load.profile(matrix, request.profile or judged_as.DEFAULT_PROFILE)
    target = choose_target(request.python, folder)
    on_progress("reading what is installed")
    environment = gather(target, folder, request.timeout or DESCRIPTION_SECONDS)
    if read_code is not None:
        on_progress("reading the training code")
    code = read_code(environment) if read_code is not None else CodeReading()
    choice = judged_as.choose(matrix, request.profile, code, (order or ProbeOrder()).subject, folder)
    examination = Examination(
        environment=environment,
        code=code.findings,
        dependents=dependents.conflicts(environment, matrix.modeled_packages),
        matrix=matrix,
        profile=choice.profile,
        explicit_profile=request.profile is not None,
        plan=_plan(request, order, code, choice),
    )
    if order is not None and not examination.missing:
        recipes = _recipes(order, examination.plan.precision)
        doors = {"doors": examination.plan.doors, "import_doors": order.trains}
        spec = spec_of(choice.profile, order.subject.model_copy(update=doors), choice.architecture)
        run = probe(target.python, request.device, recipes, request.timeout or PROBE_SECONDS, on_progress, spec)
        examination = examination.model_copy(update={"probe": run})
    return report_on(examination, time.monotonic() - start_time)


def _plan(request: ExaminationRequest, order: ProbeOrder | None, code: CodeReading, choice: Choice) -> Plan:
    subject = order.subject if order else Subject()
    return Plan(
        profile=choice.profile.name,
        judged_as=choice.judged_as,
        # The user's own choice comes first, then what the code does, then what the project recommends.
        precision=request.precision or code.precision or choice.profile.precision.recommended,
        device=request.device,
        require_gpu=request.require_gpu,
        probe=order is not None,
        fail_on=request.fail_on,
        entry=subject.entry,
        checkpoint=str(subject.checkpoint) if subject.checkpoint else None,
        trains=order.trains if order else True,
        doors=_doors(request, order, code),
        code=code.path,
        code_recipes=code.recipes,
        code_silenced=code.silenced,
        settings=request.settings,
        code_settings=code.settings,
        invocation=request.invocation or invocation_of(request),
    )


def _doors(request: ExaminationRequest, order: ProbeOrder | None, code: CodeReading) -> tuple[str, ...]:
    """Return the doors that matter: those that the user names, else those of the code, else the default ones."""
    if order is not None and not order.trains:
        return ()
    named = code.doors or DEFAULT_DOORS if request.doors is None else request.doors
    return tuple(door for door in named if door != LOOP)


def _recipes(order: ProbeOrder, deciding_recipe: str) -> list[str]:
    """Return the recipes to run, in the order of the table, with the control and the one that decides."""
    selected = {CONTROL, deciding_recipe, *order.recipes} if order.trains else set()
    return [name for name in RECIPES if name in selected]


def report_on(examination: Examination, seconds: float) -> Report:
    """Run the checks and return the report on an examination that took ``seconds``."""
    findings = checks.run(examination)
    final_verdict = verdict.final_verdict(examination, findings)
    return Report(
        doctor=__version__,
        verdict=final_verdict,
        exit_code=verdict.exit_code(final_verdict, findings, examination.plan.fail_on),
        judged_as=examination.judged_as,
        plan=examination.plan,
        environment=examination.environment,
        combination=examination.judgement,
        not_judged=examination.not_judged,
        matrix=examination.matrix_age,
        probe=_probe_report(examination.probe) if examination.probe else None,
        findings=findings,
        version_plan=examination.version_plan if examination.version_plan.commands else None,
        seconds=round(seconds, 3),
    )


def _probe_report(run: ProbeRun) -> ProbeReport:
    doors = door_outcomes(run)
    return ProbeReport(
        ending=run.ending,
        stage=run.stage,
        seconds=run.child.seconds,
        warm_up=run.warm_up,
        worker=run.worker,
        imports=run.imports,
        import_package=run.import_package,
        import_failure=run.import_failure,
        device=run.device,
        device_failure=run.device_failure,
        self_test=self_test(run),
        loaded=run.loaded,
        load_failure=run.load_failure,
        inspection=run.inspection,
        architecture=run.architecture,
        architecture_failure=run.architecture_failure,
        headroom=run.headroom,
        range_broken=run.range_broken,
        recipes=outcomes(run),
        stress=stress(run),
        measures=run.measures,
        not_measured=not_measured(run),
        doors=doors,
        not_tried=not_tried(doors),
        distributions=run.distributions or (),
        adapter=run.adapter,
        malformed_events=run.malformed_events,
    )
