"""How long a probe may take, and how long one needs that ran out of time: pure functions of what it has to do."""

import math
from typing import NamedTuple

from vc2doctor.core.limits import PROBE_SECONDS
from vc2doctor.core.wording import counted
from vc2doctor.probe.facts import ProbeRun

_MARGIN = 1.5
"""A shared machine can be that much slower at the next try, and the place of a fault is looked for after a round."""
_UNKNOWN_FACTOR = 3
"""By how much the limit is raised if no round was finished, so that nothing allows an estimate."""
_MIN_GUESS_SECONDS = 300
"""The default time limit: a guess must not be lower."""
_STEP_SECONDS = 60
_GIB = 2**30
_IMPORT_SECONDS, _ROUND_SECONDS, _DOOR_SECONDS = 9.0, 0.5, 0.5
"""CPU seconds of the worker with torch 2.13.0 and transformers 5.23.0, see docs/performance.md."""
_MEASURED_GIB_SECONDS, _TRAINED_GIB_SECONDS = 60.0, 100.0
"""SmolLM2-135M, half a GiB in float32: its range takes 30 s, and six steps under a recipe of float16 up to 50 s."""
_ALLOWED_FACTOR = 10
"""A shared machine, or one without fast half precision, can be that much slower."""

_BUSY = 1.5
"""From this factor on, the estimate names the load: smaller ones are within what the estimate itself is off."""


class Work(NamedTuple):
    """What a probe has to do."""

    rounds: int
    """Trainings under one recipe, those with planted outliers included."""
    doors: int
    """Doors that are trained through."""
    model_bytes: int = 0
    """Size of the user's checkpoint; 0: the miniature is trained."""


def seconds_estimated(work: Work) -> float:
    """Return the seconds that a probe takes on an idle machine of two cores: what was measured there, added up."""
    gib = work.model_bytes / _GIB
    each_round = _ROUND_SECONDS + _TRAINED_GIB_SECONDS * gib
    return _IMPORT_SECONDS + work.rounds * each_round + work.doors * _DOOR_SECONDS + _MEASURED_GIB_SECONDS * gib


def busy_factor(load: float, cores: int) -> float:
    """Return by how much a probe takes longer than on an idle machine, from the load of the last minute.

    ``load`` is the number of processes that want to run (``os.getloadavg``). The probe is one more of them, and each
    gets its share of the ``cores`` of the whole machine.
    """
    return max(1.0, (load + 1) / max(cores, 1))


def estimate_in_words(work: Work, load: float, cores: int) -> str:
    """Return how long a probe takes: on an idle machine, and on this one if other programs keep it busy.

    The second number is an upper one: it is that of equal shares, and programs with a lower priority leave more.
    """
    idle, factor = seconds_estimated(work), busy_factor(load, cores)
    if factor < _BUSY:
        return f"about {idle:.0f} s"
    return f"about {idle:.0f} s on an idle machine, up to {_rounded_to_ten(idle * factor)} s on this busy one"


def _rounded_to_ten(seconds: float) -> int:
    return math.ceil(seconds / 10) * 10


def seconds_allowed(work: Work) -> float:
    """Return the default time limit: that of a probe of the miniature, or more for one that has more to do."""
    # A multiple of a minute, so that the report can name it.
    return max(PROBE_SECONDS, float(_rounded_up(seconds_estimated(work) * _ALLOWED_FACTOR)))


def described(work: Work, limit: float, load: float, cores: int) -> str:
    """Return the work in words, with the estimate and the time limit of ``limit`` seconds."""
    amount = f"{counted(work.rounds, 'training')}, {counted(work.doors, 'door')}"
    return f"{amount}; {estimate_in_words(work, load, cores)}; at most {limit:.0f} s"


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
