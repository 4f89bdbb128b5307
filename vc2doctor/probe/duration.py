"""How long a probe needs that ran out of time: a pure function of what it finished."""

import math

from vc2doctor.probe.facts import ProbeRun

_MARGIN = 1.5
"""A shared machine can be that much slower at the next try, and the place of a fault is looked for after a round."""
_UNKNOWN_FACTOR = 3
"""By how much the limit is raised if no round was finished, so that nothing allows an estimate."""
_MIN_GUESS_SECONDS = 300
"""The default time limit: a guess must not be lower."""
_STEP_SECONDS = 60


def seconds_needed(run: ProbeRun) -> int:
    """Return a time limit, in seconds, that should be enough for this probe: a multiple of a minute.

    A round is the training under one recipe. The rounds that were finished say how long the remaining ones take.
    """
    elapsed = run.child.seconds
    finished = finished_rounds(run)
    if not finished:
        return _rounded_up(max(elapsed * _UNKNOWN_FACTOR, _MIN_GUESS_SECONDS))
    recipes = (*run.recipes, *(recipe for stressed in run.stress for recipe in stressed.recipes))
    measured = [recipe.seconds for recipe in recipes if recipe.seconds is not None]
    mean = sum(measured) / len(measured) if measured else elapsed / finished
    remaining = max(run.rounds_planned - finished, 1)
    return _rounded_up((elapsed + remaining * mean) * _MARGIN)


def finished_rounds(run: ProbeRun) -> int:
    """Return how many rounds were finished; the one that was running when the probe ended is not."""
    is_training = run.stage.startswith("training under ")
    return max(run.rounds_begun - is_training, 0)


def _rounded_up(seconds: float) -> int:
    return math.ceil(seconds / _STEP_SECONDS) * _STEP_SECONDS
