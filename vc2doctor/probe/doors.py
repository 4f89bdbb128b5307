"""Judges what happened at each door, by pure functions over the facts of a probe run."""

from collections.abc import Collection, Iterable
from typing import Literal

from packaging.utils import canonicalize_name

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.probe.facts import DoorRun, ProbeRun
from vc2doctor.target.doors import COMMON_DOORS, DOORS

SEVERAL_GPUS, FLASH_ATTENTION = "FSDP and ZeRO on several GPUs", "flash attention"
NEVER_TRIED = (SEVERAL_GPUS, FLASH_ATTENTION)
"""What no door goes through, on no machine."""

DoorState = Literal["passed", "failed", "imported", "unsupported"]


class DoorOutcome(Data):
    """The outcome at one door."""

    door: str
    title: str
    outcome: DoorState | None
    """``imported``: the import succeeded, and no step was tried; ``unsupported``: it cannot be tried on this machine;
    ``None``: unknown, because the probe ended at this door."""
    matters: bool
    description: str
    losses: tuple[float | None, ...] = ()
    doubt: str | None = None
    """What the steps do otherwise than the user means, although they end well."""
    error: Failure | None = None
    seconds: float | None = None


def door_outcomes(run: ProbeRun) -> tuple[DoorOutcome, ...]:
    """Return the outcome of every door that the probe opened."""
    return tuple(_judge(door) for door in run.doors)


def installed_doors(versions: Collection[str]) -> tuple[str, ...]:
    """Return the common doors whose packages are all among the canonical names of the installed distributions."""
    return tuple(
        door.name for door in COMMON_DOORS.values() if door.is_there(lambda name: canonicalize_name(name) in versions)
    )


def not_tried(outcomes: Iterable[DoorOutcome], first: Iterable[str] = ()) -> tuple[str, ...]:
    """Return in words what people train through and the probe did not: what stands ``first``, then installed doors."""
    imported = [outcome.title for outcome in outcomes if outcome.outcome in ("imported", "unsupported")]
    return (*first, *imported, *NEVER_TRIED)


def _judge(run: DoorRun) -> DoorOutcome:
    outcome, description = _outcome(run) if run.finished else (None, "the probe ended here")
    return DoorOutcome(
        door=run.door,
        title=DOORS[run.door].title,
        outcome=outcome,
        matters=run.trains,
        description=description,
        losses=run.losses,
        doubt=run.doubt if outcome == "passed" else None,
        error=run.error,
        seconds=run.seconds,
    )


def _outcome(run: DoorRun) -> tuple[DoorState, str]:
    if run.error is not None:
        what = "the import fails" if run.phase == "import" else "a training step fails"
        return "failed", f"{what}: {run.error.type}: {run.error.message}"
    if run.unavailable is not None:
        # A release that lacks what the user trains with fails him; a machine that cannot try it says nothing.
        is_missing = run.phase == "import" and run.trains
        return "failed" if is_missing else "unsupported", run.unavailable
    if not run.trains:
        return "imported", "the import succeeds; no step was tried"
    fault = _fault_of_training(run)
    if fault is not None:
        return "failed", fault
    shown = ", ".join(f"{loss:.4g}" for loss in run.losses if loss is not None)
    return "passed", f"losses {shown}; {run.moved or 0:.0%} of the trainable elements moved"


def _fault_of_training(run: DoorRun) -> str | None:
    """Return why steps that raised nothing are no training; ``None``: they are."""
    if not run.losses:
        return "no loss was reported, so no step was taken"
    if None in run.losses:
        return f"the loss is not finite at step {run.losses.index(None)}"
    return None if run.moved else "the steps changed no trainable parameter"
