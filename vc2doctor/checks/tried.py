"""What the verdict line says about what was tried: the plain loop, and which other ways to train are likely here."""

from collections.abc import Collection, Iterable, Iterator

from packaging.utils import canonicalize_name

from vc2doctor.checks.plan import Plan
from vc2doctor.core.data import Data
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.probe.doors import FLASH_ATTENTION, SEVERAL_GPUS, DoorOutcome
from vc2doctor.target.doors import DOORS
from vc2doctor.target.shared.spec import Spec

_WITH_EVERY_STACK = frozenset({*STACK_PACKAGES, "accelerate", "datasets"})
"""Packages that come with the stack or as dependencies of trainers: that they are installed shows no intent."""
_SEVERAL_GPUS_PACKAGES = ("deepspeed", "fairscale", "megatron-core")
_FLASH_PACKAGES = ("flash-attn", "flash-attn-3", "kernels")


NO_ADAPTERS = "adapters (peft is not installed)"
MAX_RATE = 5 * Spec().probe_rate
"""A rate up to this is near enough to the one of the probe's steps. Whether a higher one is too high depends on the
size of the model, so steps of a miniature would not show it."""


class Tried(Data):
    """One way to train, as the verdict line names it: it has the fields of a door."""

    title: str
    outcome: str | None = "passed"
    description: str = ""
    matters: bool = True


def plain_loop(plan: Plan) -> Tried:
    """Return the loop of the probe, which trains the user's own model or the miniature."""
    subject = plan.entry or plan.checkpoint
    return Tried(title=f"a plain loop on {subject}" if subject else "a plain loop")


def not_as_planned(plan: Plan) -> Iterator[str]:
    """Yield in words what the user's training does and the probe's steps do not."""
    if not plan.adapters:
        yield NO_ADAPTERS
    if plan.entry is None and plan.learning_rate is not None and plan.learning_rate > MAX_RATE:
        yield f"your learning rate of {plan.learning_rate:g} (the probe steps at {Spec().probe_rate:g})"


def through_door(plan: Plan, door: DoorOutcome) -> Tried:
    """Return a door as the verdict line names it: the doctor's small model goes through it, and not the user's."""
    is_own = bool(plan.custom_subject) and door.outcome == "passed"
    title = f"{door.title} (with a small model of the doctor's)" if is_own else door.title
    return Tried(title=title, outcome=door.outcome, description=door.description, matters=door.matters)


def unlikely(plan: Plan, doors: Iterable[DoorOutcome], installed: Collection[str], gpus: int) -> frozenset[str]:
    """Return the titles of what nothing shows to be used here, among the doors and what no door covers.

    Code that was read names the doors that it goes through. Without code, packages that were installed for a way to
    train point to it. ``installed`` are canonical names; ``gpus`` is the number of GPUs that were found.
    """
    titles = {door.title for door in doors if not (door.matters or (plan.code is None and _is_meant(door, installed)))}
    if gpus <= 1 and not any(name in installed for name in _SEVERAL_GPUS_PACKAGES):
        titles.add(SEVERAL_GPUS)
    if not any(name in installed for name in _FLASH_PACKAGES):
        titles.add(FLASH_ATTENTION)
    return frozenset(titles)


def _is_meant(door: DoorOutcome, installed: Collection[str]) -> bool:
    """Return whether a package that only this door needs, and not every stack, is installed."""
    if door.door not in DOORS:
        # A saved report can be of another version of the doctor: what it names stays named.
        return True
    names = (canonicalize_name(name) for names in DOORS[door.door].modules for name in names.split("|"))
    return any(name in installed for name in names if name not in _WITH_EVERY_STACK)
