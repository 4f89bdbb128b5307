"""One examination from start to end: facts, probe, checks, report."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vc2doctor import __version__, checks, verdict
from vc2doctor.checks.examination import Examination
from vc2doctor.data import Data
from vc2doctor.environment import interpreter
from vc2doctor.environment.gather import gather
from vc2doctor.environment.model import Environment
from vc2doctor.findings import AppliedSettings, Plan, ProbeReport, Report, Severity
from vc2doctor.matrix import load
from vc2doctor.matrix.model import Profile
from vc2doctor.probe.model import ProbeRun
from vc2doctor.probe.outcome import not_measured, outcomes, self_test, stress
from vc2doctor.probe.runner import probe
from vc2doctor.probe.texts import TEXTS
from vc2doctor.probe.worker.plants import PLANTS
from vc2doctor.probe.worker.recipes import CONTROL, RECIPES
from vc2doctor.settings import SettingsSource

if TYPE_CHECKING:
    from vc2doctor.lint.joined import Read

DEFAULT_PROFILE = "videochat2-mistral"


class Request(Data):
    """What the user asked for."""

    python: str | None = None
    profile: str | None = None
    precision: str | None = None
    device: str = "auto"
    timeout: float = 300.0
    require_gpu: bool = False
    probe: bool = True
    fail_on: Severity = Severity.ERROR
    matrix: Path | None = None
    code: Path | None = None
    """Training code, whose contradictions are findings, and whose precision decides where none was asked for."""
    entry: str | None = None
    """``module:function`` of the user's own, to be trained instead of the miniature."""
    recipes: tuple[str, ...] = tuple(RECIPES)
    checkpoint: Path | None = None
    """A folder with safetensors, or a GGUF file, to be looked at instead of the miniature."""
    texts: tuple[str, ...] = ()
    train: bool = True
    """Whether the recipes are run; only a checkpoint can do without."""
    stress: bool = False
    """Whether planted outliers show the margins."""
    seed: int = 0
    attention: str | None = None
    source: SettingsSource = SettingsSource()
    """Where settings come from, for the code as well."""
    settings: AppliedSettings | None = None
    """The file whose settings are part of this request."""


def examine(request: Request, folder: Path, on_progress: Callable[[str], None]) -> Report:
    """Examine an environment for training that is started in ``folder``; ``on_progress`` is told what is under way.

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
    read = _read_code(request, environment, on_progress)
    examination = Examination(
        environment=environment,
        code=read.findings if read else (),
        matrix=matrix,
        profile=profile,
        explicit_profile=request.profile is not None,
        plan=Plan(
            profile=profile.name,
            precision=request.precision or (read and read.precision) or profile.precision.recommended,
            device=request.device,
            require_gpu=request.require_gpu,
            probe=request.probe,
            fail_on=request.fail_on,
            entry=request.entry,
            checkpoint=str(request.checkpoint) if request.checkpoint else None,
            trains=request.train,
            code=str(request.code) if request.code else None,
            code_recipes=read.recipes if read else {},
            code_silenced=read.silenced if read else 0,
            settings=request.settings,
            code_settings=read.settings if read else None,
        ),
    )
    if request.probe and not examination.missing:
        wanted = {CONTROL, examination.plan.precision, *request.recipes} if request.train else set()
        recipes = [name for name in RECIPES if name in wanted]
        spec = {**spec_of(profile), **_asked(request)}
        done = probe(python, request.device, recipes, request.timeout, on_progress, spec)
        examination = examination.model_copy(update={"probe": done})
    return report_on(examination, time.monotonic() - started)


def _read_code(request: Request, environment: Environment, on_progress: Callable[[str], None]) -> "Read | None":
    if request.code is None:
        return None
    from vc2doctor.lint import joined  # noqa: PLC0415 - a check without code needs no linter

    on_progress("reading the training code")
    installed = {made.name: made.version for made in environment.distributions if made.version}
    return joined.read(request.code, installed, request.source)


def spec_of(profile: Profile) -> dict[str, Any]:
    """Return what the worker is told of ``profile``: the keys of its ``spec.py``."""
    return {
        "model": profile.subject,
        "r": profile.lora.r,
        "alpha": profile.lora.alpha,
        "dropout": profile.lora.dropout,
        "targets": profile.lora.targets,
        "learning_rate": profile.training.learning_rate,
        "betas": profile.training.betas,
        "weight_decay": profile.training.weight_decay,
        "fan_in": profile.fan_in,
        "checkpointing": profile.training.gradient_checkpointing,
        "shape": profile.miniature.model_dump(),
    }


def _asked(request: Request) -> dict[str, Any]:
    """Return what the worker is told beside the profile."""
    return {
        "entry": request.entry or "",
        "weights": str(request.checkpoint) if request.checkpoint else "",
        "texts": request.texts or TEXTS,
        "stress": tuple(PLANTS) if request.stress else (),
        "seed": request.seed,
        "attention": request.attention or "default",
    }


def report_on(examination: Examination, seconds: float) -> Report:
    """Return the report on an examination that took ``seconds``."""
    findings = checks.run(examination)
    found = verdict.verdict(examination, findings)
    return Report(
        doctor=__version__,
        verdict=found,
        exit_code=verdict.exit_code(found, findings, examination.plan.fail_on),
        plan=examination.plan,
        environment=examination.environment,
        combination=examination.judgement,
        probe=_probe_report(examination.probe) if examination.probe else None,
        findings=findings,
        seconds=round(seconds, 3),
    )


def _probe_report(run: ProbeRun) -> ProbeReport:
    shared = {name: getattr(run, name) for name in ProbeReport.model_fields if name in ProbeRun.model_fields}
    judged = {
        "recipes": outcomes(run),
        "self_test": self_test(run),
        "stress": stress(run),
        "not_measured": not_measured(run),
    }
    return ProbeReport(**{**shared, **judged}, seconds=run.child.seconds)
