"""Remedies that several checks give."""

from vc2doctor.checks.examination import Examination
from vc2doctor.prescribe import commands
from vc2doctor.prescribe.nearest import prescribe
from vc2doctor.probe.worker.recipes import RECIPES

HALF_ALTERNATIVES = (
    "fp16-amp (float32 weights, float16 autocast, GradScaler), fp16-scaled (float16 weights; the adapters must be"
    " float32, so peft>=0.12 or <0.7), or fp32 where memory allows"
)
"""What to train in where bfloat16 is not native."""


def install_nearest(examination: Examination) -> tuple[str, tuple[str, ...]]:
    """Return, in words and as commands, how to get to the nearest measured sets."""
    interpreter = examination.environment.interpreter
    ways = prescribe(interpreter.minor, examination.versions, examination.matrix, examination.plan.precision)
    if not ways:
        return "No measured set is near; `vc2doctor check` with the probe says what works here.", ()
    grounds = "; or ".join(way.ground for way in ways)
    installs = tuple(commands.install(interpreter, way.requirements) for way in ways)
    return f"Install a set that was measured to train ({grounds}).", installs


def wants_bf16(examination: Examination) -> bool:
    """Return whether the recipe that decides computes in bfloat16."""
    return "bfloat16" in RECIPES[examination.plan.precision].dtypes
