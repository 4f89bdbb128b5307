"""One examination from start to end: facts, probe, checks, report."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vc2doctor import __version__, checks
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import Plan, SavedFile
from vc2doctor.checks.tried import not_as_planned
from vc2doctor.commands import decisions, fingerprints, judged_as, recipes
from vc2doctor.commands.chosen_doors import doors_that_matter
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.judged_as import Choice
from vc2doctor.commands.manifests import asked_by, with_manifests
from vc2doctor.commands.report import CodeReading, ProbeReport, Report
from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.core.data import OwnData
from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.core.versions import ADAPTERS
from vc2doctor.environment.choice import choose as choose_target
from vc2doctor.environment.gather import gather
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Finding, WaivedFinding
from vc2doctor.linter import dependents
from vc2doctor.matrix import load
from vc2doctor.matrix import stack_map as stack_maps
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.doors import door_outcomes, not_tried
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import not_measured, outcomes, self_test, stress
from vc2doctor.probe.spec import Subject, spec_of
from vc2doctor.probe.variants import variant_outcomes
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES, controls_of

Decided = tuple[tuple[Finding, ...], tuple[WaivedFinding, ...]]
"""The findings that count, and those that were waived."""
Decide = Callable[[tuple[Finding, ...]], Decided]
OnProgress = Callable[[str], None]
"""Is called with a description of each step that begins."""


class ProbeOrder(OwnData):
    """What the probe shall train, and under which recipes."""

    subject: Subject = Subject()
    recipes: tuple[str, ...] = DEFAULT_RECIPES
    trains: bool = True
    """Whether training steps are run. The range of a checkpoint can be measured without them."""
    only_used: bool = False
    """Whether recipes are left out that nothing trains in, where the user or the code says what is trained in. If one
    that is used fails, all run, because then the question is which one works here."""


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
    judge = decisions.judge(request.policy, request.baseline, update=request.update_baseline)
    # A wrong name is reported before anything is started.
    load.profile(matrix, request.profile or judged_as.DEFAULT_PROFILE)
    target = request.target or choose_target(request.python, folder)
    on_progress("reading what is installed")
    environment = gather(target, folder, request.timeout or DESCRIPTION_SECONDS)
    if read_code is not None:
        on_progress("reading the training code")
    code = read_code(environment) if read_code is not None else CodeReading()
    choice = judged_as.choose(matrix, request.profile, code, (order or ProbeOrder()).subject, folder)
    saved_files = _saved_files(code, folder, environment, matrix)
    files_read = tuple(dict.fromkeys(path for file in saved_files for path in file.files))
    plan = _plan(request, order, code, choice, environment)
    profile = _at_rate(choice.profile, plan.learning_rate)
    examination = Examination(
        environment=environment,
        code=code.findings,
        imports=code.imports,
        imported=code.imported,
        saved_files=saved_files,
        dependents=dependents.conflicts(environment, matrix.wheels.releases),
        matrix=matrix,
        profile=profile,
        explicit_profile=request.profile is not None,
        plan=plan.model_copy(update={"waivers": judge.waivers, "files_read": files_read}),
    )
    if examination.missing or code.path is not None:
        asked = asked_by(code.root if code.path is not None else folder)
        examination = examination.model_copy(update={"asked": asked})
    if order is not None and examination.can_train:
        subject = order.subject.model_copy(update={"use": code.use})
        order = order.model_copy(update={"subject": subject})
        examination = _probed(request, order, examination, choice, on_progress)

    def decide(findings: tuple[Finding, ...]) -> Decided:
        placed = with_manifests(findings, environment, folder)
        return judge.decide(placed, fingerprints.of_check(placed))

    report = report_on(examination, time.monotonic() - start_time, decide)
    return report.model_copy(update={"stack_map": _stack_map(request, examination, on_progress)})


def _saved_files(code: CodeReading, folder: Path, environment: Environment, matrix: Matrix) -> tuple[SavedFile, ...]:
    if not code.loads:
        return ()
    # Few projects name local files.
    from vc2doctor.commands.saved_files import saved_files  # noqa: PLC0415

    return saved_files(code, folder, environment.versions, matrix.architectures)


def _stack_map(
    request: ExaminationRequest, examination: Examination, on_progress: OnProgress
) -> stack_maps.StackMap | None:
    if not request.stack_map:
        return None
    on_progress("drawing the map of transformers and peft")
    return stack_maps.stack_map(examination.matrix, examination.versions, examination.plan.precision)


def _probed(
    request: ExaminationRequest, order: ProbeOrder, examination: Examination, choice: Choice, on_progress: OnProgress
) -> Examination:
    """Return the examination with what the probe saw."""
    # A check by versions alone trains nothing.
    from vc2doctor.environment import bytecode  # noqa: PLC0415
    from vc2doctor.probe.duration import Work, described, seconds_allowed  # noqa: PLC0415
    from vc2doctor.probe.run import planned_rounds, probe  # noqa: PLC0415

    plan = examination.plan
    names = tuple(dict.fromkeys(f"{each.module}:{each.name}" for each in examination.imports))
    files = tuple((each.kind, each.loader, each.target) for each in examination.saved_files if not each.is_custom)
    further = {
        "doors": plan.doors,
        "import_doors": order.trains,
        "names": names,
        "adapters": plan.adapters,
        "files": files,
    }
    subject = order.subject.model_copy(update=further)

    def run(names: tuple[str, ...]) -> ProbeRun:
        varied = [name for name in names if name in (*controls_of(plan.precision), plan.precision)]
        spec = spec_of(examination.profile, subject, choice.architecture, varied)
        kept = bytecode.cache_for(examination.environment, os.environ)
        work = Work(planned_rounds(names, spec), len(plan.doors), _size(subject.checkpoint))
        limit = request.timeout or seconds_allowed(work)
        # The load is that of the whole machine, also in a container that may use only some of its cores.
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        on_progress(f"starting the probe: {described(work, limit, load, cores)}")
        return probe(examination.environment.choice.python, request.device, names, limit, on_progress, spec, kept)

    named = order.recipes if plan.adapters else ()
    every = recipes.every(named, plan.precision) if order.trains else ()
    used = recipes.used(plan, request.precision) if order.only_used and order.trains else ()
    first = used or every
    probed = examination.model_copy(update={"probe": run(first)})
    if set(first) >= set(every):
        return probed
    if recipes.alternatives_matter(probed.outcomes):
        on_progress("trying the other precisions, because one that is used does not train")
        second = run(every)
        # If the second probe fails for a reason of its own, the first one stands.
        if second.ending in ("finished", "interrupted"):
            return examination.model_copy(update={"probe": second})
    return probed.model_copy(update={"plan": plan.model_copy(update={"recipes_left_out": recipes.left_out(first)})})


def _size(checkpoint: Path | None) -> int:
    """Return the bytes of the weights of a checkpoint; 0: there is none, or it cannot be read, which the probe says."""
    if checkpoint is None:
        return 0
    files = [checkpoint] if checkpoint.is_file() else checkpoint.glob("*.safetensors")
    try:
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0


def _at_rate(profile: Profile, rate: float | None) -> Profile:
    """Return ``profile`` with the learning rate of the user, if there is one."""
    if rate is None:
        return profile
    return profile.model_copy(update={"training": profile.training.model_copy(update={"learning_rate": rate})})


def _plan(
    request: ExaminationRequest, order: ProbeOrder | None, code: CodeReading, choice: Choice, environment: Environment
) -> Plan:
    subject = order.subject if order else Subject()
    adapters = code.mentions_adapters or ADAPTERS in environment.versions
    doors: tuple[str, ...] = ()
    if order is None or order.trains:
        doors = doors_that_matter(
            request.doors, code, environment.versions, knows_architecture=bool(choice.architecture)
        )
    # The user's own choice comes first, then what the code does, then what the project recommends.
    named, code_recipes = request.precision or code.precision, code.recipes
    precision = named or choice.profile.precision.recommended
    if not adapters:
        # A profile recommends a precision for adapters.
        precision = recipes.of_every_weight(named or recipes.RECOMMENDED_FOR_WEIGHTS)
        code_recipes = {entry: recipes.of_every_weight(name) for entry, name in code_recipes.items()}
    return Plan(
        profile=choice.profile.name,
        judged_as=choice.judged_as,
        precision=precision,
        learning_rate=request.learning_rate or code.learning_rate,
        adapters=adapters,
        device=request.device,
        require_gpu=request.require_gpu,
        probe=order is not None,
        fail_on=request.fail_on,
        entry=subject.entry,
        checkpoint=str(subject.checkpoint) if subject.checkpoint else None,
        trains=order.trains if order else True,
        variants=subject.variants,
        doors=doors,
        formats=code.formats,
        code=code.path,
        code_recipes=code_recipes,
        code_silenced=code.silenced,
        accept=request.accept,
        settings=request.settings,
        code_settings=code.settings,
        invocation=request.invocation or invocation_of(request),
    )


def report_on(examination: Examination, seconds: float, decide: Decide = lambda findings: (findings, ())) -> Report:
    """Run the checks and return the report on an examination that took ``seconds``.

    ``decide`` returns the findings that count, and those that were waived.
    """
    findings, waived = decide(checks.run(examination))
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
        quantized=examination.quantized,
        matrix=examination.matrix_age,
        probe=_probe_report(examination.probe, not_as_planned(examination.plan)) if examination.probe else None,
        findings=findings,
        waived=waived,
        version_plan=examination.version_plan if examination.version_plan.commands else None,
        seconds=round(seconds, 3),
    )


def _probe_report(run: ProbeRun, untried: Iterable[str] = ()) -> ProbeReport:
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
        gradients=run.gradients,
        gradients_unmeasured=run.gradients_unmeasured,
        log_ratios=run.log_ratios,
        scaled=run.scaled,
        range_broken=run.range_broken,
        recipes=outcomes(run),
        stress=stress(run),
        variants=variant_outcomes(run),
        measures=run.measures,
        not_measured=not_measured(run),
        doors=doors,
        not_tried=not_tried(doors, untried),
        distributions=run.distributions or (),
        adapter=run.adapter,
        malformed_events=run.malformed_events,
    )
