"""Remedies that several checks give."""

from vc2doctor.checks.examination import Examination
from vc2doctor.prescribe import commands
from vc2doctor.prescribe.nearest import Prescription, prescribe
from vc2doctor.probe.worker.recipes import RECIPES

HALF_ALTERNATIVES = (
    "fp16-amp (float32 weights, float16 autocast, GradScaler), fp16-scaled (float16 weights; the adapters must be"
    " float32, so peft>=0.12 or <0.7), or fp32 where memory allows"
)
"""What to train in where bfloat16 is not native."""


def nearest(examination: Examination) -> Prescription | None:
    """Return the nearest measured set that trains under the recipe that decides."""
    return prescribe(
        examination.environment.interpreter.minor,
        examination.versions,
        examination.matrix,
        examination.plan.precision,
    )


def install_nearest(examination: Examination) -> tuple[str, tuple[str, ...]]:
    """Return, in words and as a command, how to get to the nearest measured set."""
    found = nearest(examination)
    if found is None:
        python = examination.environment.interpreter.minor
        return f"No set was measured under Python {python} yet; see `vc2doctor check --format json` for details.", ()
    command = commands.install(examination.environment.interpreter, found.requirements)
    return f"Install a set that works ({found.ground}).", (command,)


def wants_bf16(examination: Examination) -> bool:
    """Return whether the recipe that decides computes in bfloat16."""
    return "bfloat16" in RECIPES[examination.plan.precision].dtypes
