"""Remedies that several checks give."""

from packaging.utils import canonicalize_name

from vc2doctor.checks.context import Examination
from vc2doctor.core.failure import Failure
from vc2doctor.remedies import commands
from vc2doctor.remedies.smallest import smallest_remedies
from vc2doctor.target.shared.recipes import RECIPES

HALF_ALTERNATIVES = (
    "fp16-amp (float32 weights, float16 autocast, GradScaler), fp16-scaled (float16 weights; the adapters must be"
    " float32, so peft>=0.12 or <0.7), or fp32 where memory allows"
)
"""What to train in where bfloat16 is not native."""


def install_nearest(examination: Examination) -> tuple[str, tuple[str, ...]]:
    """Return, in words and as commands, how to get to the nearest measured sets."""
    interpreter = examination.environment.interpreter
    ways = smallest_remedies(interpreter.minor, examination.versions, examination.matrix, examination.plan.precision)
    if not ways:
        return "No measured set is near; `vc2doctor check` with the probe says what works here.", ()
    grounds = "; or ".join(way.reason for way in ways)
    installs = tuple(commands.install(interpreter, way.requirements) for way in ways)
    return f"Install a set that was measured to train ({grounds}).", installs


def install_what_fails(examination: Examination, failure: Failure) -> tuple[str, tuple[str, ...]]:
    """Return how to mend ``failure``: by a module that nobody declares, where one is missing, or by a set."""
    missing = failure.missing
    if missing is None or missing.symbol is not None:
        return install_nearest(examination)
    name = missing.module.partition(".")[0]
    if canonicalize_name(name) in examination.versions:
        return install_nearest(examination)
    command = commands.install(examination.environment.interpreter, [name])
    return f"Install {name}: it is needed here, and nothing that is installed brings it.", (command,)


def wants_bf16(examination: Examination) -> bool:
    """Return whether the recipe that decides computes in bfloat16."""
    return "bfloat16" in RECIPES[examination.plan.precision].dtypes
