"""Evidence, remedies and severities that several checks share."""

from packaging.utils import canonicalize_name

from vc2doctor.checks.context import Examination
from vc2doctor.core.failure import Failure
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.findings import Severity
from vc2doctor.remedies import commands
from vc2doctor.remedies.smallest import smallest_remedies
from vc2doctor.target.shared.recipes import RECIPES

HALF_ALTERNATIVES = (
    "fp16-amp (float32 weights, float16 autocast, GradScaler), in fp16-scaled (float16 weights; the adapters must be"
    " float32, so use peft>=0.12 or peft<0.7), or in fp32 if it fits into memory"
)
"""The precisions to train in where bfloat16 is not native."""


def install_nearest(examination: Examination) -> tuple[str, tuple[str, ...]]:
    """Return the remedy, in words and as commands, that installs the nearest set of measured versions."""
    interpreter = examination.environment.interpreter
    remedies = smallest_remedies(
        interpreter.minor, examination.versions, examination.matrix, examination.plan.precision
    )
    if not remedies:
        unknown = (
            f"The matrix has no similar set of versions that was measured to train under {examination.plan.precision}."
            " The probe trains a few steps and shows which precisions work here."
        )
        return unknown, ()
    reasons = "; or ".join(remedy.reason for remedy in remedies)
    installs = tuple(commands.install(interpreter, remedy.requirements) for remedy in remedies)
    return f"Install versions that were measured to train together ({reasons}).", installs


def install_what_fails(examination: Examination, failure: Failure) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for ``failure``: install the missing module, or the nearest set of measured versions.

    A missing module is installed by its name only if no installed distribution has this name. Otherwise the installed
    version is the wrong one.
    """
    missing = failure.missing
    if missing is None or missing.symbol is not None:
        return install_nearest(examination)
    name = missing.module.partition(".")[0]
    if canonicalize_name(name) in examination.versions:
        return install_nearest(examination)
    command = commands.install(examination.environment.interpreter, [name])
    return f"Install {name}. The code needs it, and no installed package requires it.", (command,)


def matrix_evidence(examination: Examination) -> list[str]:
    """Return the verdict of the matrix as a line of evidence; nothing if a package of the stack is missing."""
    judgement = examination.judgement
    return [] if judgement is None else [f"matrix: {judgement.verdict.value}; {judgement.reason}"]


def severity_for(examination: Examination, package: str, *, elsewhere: Severity) -> Severity:
    """Return an error for a fault of the stack or of what it depends on, and ``elsewhere`` for other packages.

    If the probe trained here, the error becomes a warning.
    """
    if package not in (*STACK_PACKAGES, *COMPANION_PACKAGES):
        return elsewhere
    return examination.capped_if_trained(Severity.ERROR)


def probed_again(examination: Examination) -> str:
    """Return the command that repeats an examination and lets it train."""
    invocation = examination.plan.invocation
    if invocation.has("--no-probe") or examination.plan.probe:
        return invocation.again(without=("--no-probe",))
    # A settings file turned the probe off, so it has to be turned on by name.
    return invocation.again(("--probe", None))


def on_a_gpu_again(examination: Examination) -> str:
    """Return the command that repeats an examination on a machine with a GPU, and fails without one."""
    without = ("--device",) if examination.plan.device == "cpu" else ()
    return examination.plan.invocation.again(("--require", "gpu"), without=without)


def computes_in_bfloat16(examination: Examination) -> bool:
    """Return whether the recipe that decides computes in bfloat16."""
    return "bfloat16" in RECIPES[examination.plan.precision].dtypes
