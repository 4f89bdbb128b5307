"""The course of a loss in a few characters: ``█▆▅▃▁``."""

from collections.abc import Iterator, Sequence

from vc2doctor.core.wording import counted
from vc2doctor.probe.outcome import RecipeOutcome, StepPoint

_BLOCKS = "▁▂▃▄▅▆▇█"
_LOST = "×"  # noqa: RUF001 - the sign is meant
"""NaN or infinity."""
MAX_CHARACTERS = 12
"""Steps that are shown: the first ones, because a loss that is lost is lost early."""


def sparkline(steps: Sequence[StepPoint]) -> str:
    """Return one character for each step from which on every batch was seen; empty if there are fewer than two.

    A character stands for the mean of the latest losses on all batches: the batches take turns, and their levels
    differ. A loss that is not finite has a mark of its own.
    """
    means = list(_means(steps))[:MAX_CHARACTERS]
    if len(means) <= 1:
        return ""
    finite = [mean for mean in means if mean is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = (high - low) or 1.0
    return "".join(
        _LOST if mean is None else _BLOCKS[round((mean - low) / span * (len(_BLOCKS) - 1))] for mean in means
    )


def brief(outcome: RecipeOutcome) -> str:
    """Return the course of a loss that fell, so short that 80 columns hold it: ``loss 4.5870 █▆▅▃▁ 4.3710 in 6 steps``.

    It is empty for every other outcome, and if there are too few steps.
    """
    line = sparkline(outcome.steps)
    means = [mean for mean in _means(outcome.steps) if mean is not None]
    if outcome.outcome != "finite" or not line:
        return ""
    return f"loss {means[0]:.4f} {line} {means[-1]:.4f} in {counted(outcome.steps_taken, 'step')}"


def _means(steps: Sequence[StepPoint]) -> Iterator[float | None]:
    """Yield the mean of the latest losses of all batches, from the step on at which the last batch is seen.

    The first and the last one are those that the description of a finite outcome names.
    """
    batches = {step.batch for step in steps}
    latest: dict[int, float | None] = {}
    for step in steps:
        latest[step.batch] = step.loss
        if latest.keys() == batches:
            losses = [loss for loss in latest.values() if loss is not None]
            yield sum(losses) / len(losses) if step.loss is not None and losses else None
