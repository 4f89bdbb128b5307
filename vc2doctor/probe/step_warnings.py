"""Reads what torch warned of while the user's model was trained: which warnings mean that the training is wrong."""

import math
import re

from vc2doctor.core.data import Data
from vc2doctor.probe.facts import ProbeRun, RecipeRun
from vc2doctor.probe.failed_step import Broadcast, StepWarning

_SIZES = re.compile(
    r"target size \((?:torch\.Size\()?\[([\d, ]*)\]\)?\) that is different to the input size"
    r" \((?:torch\.Size\()?\[([\d, ]*)\]"
)


class WrongTraining(Data):
    """A warning by which torch says that the result of a training step is not what the code asks for."""

    pattern: str
    """A regular expression of its message."""
    meaning: str
    """A clause."""
    remedy: str
    changes_training: bool = True
    """Whether the gradients or the weights are other ones than the code asks for."""


WRONG_TRAINING = (
    WrongTraining(
        pattern=r"non-full backward hook",
        meaning="a backward hook of a module gets the gradients of the last operation, and not those of the module",
        remedy="Use register_full_backward_hook instead of register_backward_hook.",
    ),
    WrongTraining(
        pattern=r"Casting complex values to real discards the imaginary part",
        meaning="the imaginary part of complex values, or of their gradients, is dropped",
        remedy="Take .real, .abs() or torch.view_as_real, whichever the loss should depend on.",
    ),
    WrongTraining(
        pattern=r"lr_scheduler\.step\(\)` before `optimizer\.step\(\)",
        meaning="the scheduler steps before the optimizer, so the first learning rate of the schedule is skipped",
        remedy="Call optimizer.step() before lr_scheduler.step(), unless you replay a schedule to resume a training.",
        changes_training=False,
    ),
)
"""Warnings that become findings. Others are listed in the report as JSON: most of them change nothing."""


def meaning_of(warning: StepWarning) -> WrongTraining | None:
    """Return what a warning says about the training; ``None``: nothing is wrong with it."""
    return next((each for each in WRONG_TRAINING if re.search(each.pattern, warning.message)), None)


def rows_compared_with_all(recipe: RecipeRun, run: ProbeRun) -> int | None:
    """Return how many rows the loss compares with the targets of all rows; ``None``: it does not."""
    found = place_of_broadcast(recipe, run)
    return found.rows if found is not None else None


def place_of_broadcast(recipe: RecipeRun, run: ProbeRun) -> Broadcast | None:
    """Return where the loss compares each row with all rows, by a difference that was seen or by torch's warning."""
    for warning in recipe.warnings:
        rows = _rows(warning.message)
        if rows is not None:
            return Broadcast(rows=rows, module="", file=warning.file, line=warning.line)
    return run.broadcast


def _rows(message: str) -> int | None:
    """Return the rows of a loss whose two operands both grow: (16,) against (16, 1) becomes (16, 16).

    A single target for all predictions is meant.
    """
    match = _SIZES.search(message)
    if match is None:
        return None
    sizes = [tuple(int(part) for part in text.split(",") if part.strip()) for text in match.groups()]
    length = max(map(len, sizes))
    first, second = ((1,) * (length - len(size)) + size for size in sizes)
    together = tuple(map(max, first, second))
    grows = all(math.prod(size) < math.prod(together) for size in (first, second))
    return max(size[0] for size in sizes if size) if grows else None
