"""The time limit that a probe needs which ran out of time."""

from __future__ import annotations

import pytest

from tests.facts import child, probe_run, recipe
from vc2doctor.core.limits import PROBE_SECONDS
from vc2doctor.probe.duration import (
    Work,
    busy_factor,
    estimate_in_words,
    finished_rounds,
    seconds_allowed,
    seconds_estimated,
    seconds_needed,
)
from vc2doctor.probe.facts import ProbeRun, StressRun
from vc2doctor.probe.run import planned_rounds
from vc2doctor.target.shared.recipes import RECIPES


def timed_out(begun: int, planned: int, seconds: float, *, each: float | None = 10.0) -> ProbeRun:
    names = list(RECIPES)[:begun]
    recipes = [recipe(name, seconds=each) for name in names[:-1]] + [recipe(names[-1], seconds=None, finished=False)]
    return probe_run(
        recipes=tuple(recipes),
        ending="timeout",
        stage=f"training under {names[-1]} ({begun} of {planned})",
        child=child(ending="timeout", seconds=seconds),
        rounds_begun=begun,
        rounds_planned=planned,
    )


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        # 300 s so far, 5 rounds of 10 s are left: 350 s, with a margin of a half 525 s.
        (timed_out(4, 8, 300), 540),
        # The rounds take 100 s each, and 21 of 24 are left.
        (timed_out(4, 24, 300, each=100.0), 3600),
        # No round says how long it took: a third of the work took all the time.
        (timed_out(3, 6, 300, each=None), 1380),
    ],
)
def test_estimate_follows_from_the_rounds_that_were_finished(run: ProbeRun, seconds: int) -> None:
    assert seconds_needed(run) == seconds


def test_without_a_finished_round_it_is_a_guess_above_the_default() -> None:
    assert finished_rounds(timed_out(1, 8, 300)) == 0
    assert seconds_needed(timed_out(1, 8, 300)) == 900
    assert seconds_needed(timed_out(1, 8, 5)) == 300


def test_rounds_with_planted_outliers_count() -> None:
    planted = StressRun(plant="sink", recipes=(recipe("fp32", seconds=40.0),))
    run = timed_out(2, 24, 300, each=20.0).model_copy(update={"stress": (planted,)})
    assert seconds_needed(run) == 1500, "(300 + 23 * 30) * 1.5, in whole minutes"


def test_planned_rounds_are_counted() -> None:
    stressed = sum(recipe.stressed for recipe in RECIPES.values())
    assert planned_rounds(["fp32", "bf16"], {"stress": ("sink", "smollm")}) == 2 + 2 * stressed
    assert planned_rounds([], {}) == 0


def test_the_probe_of_the_miniature_has_the_usual_limit() -> None:
    assert seconds_allowed(Work(rounds=8, doors=1)) == PROBE_SECONDS
    assert seconds_estimated(Work(rounds=8, doors=1)) < 20


def test_estimate_names_the_load_of_a_busy_machine() -> None:
    work = Work(rounds=8, doors=1)
    idle = f"{seconds_estimated(work):.0f} s"
    assert estimate_in_words(work, load=0.3, cores=2) == f"about {idle}"
    busy = estimate_in_words(work, load=5.0, cores=2)
    assert busy == f"about {idle} on an idle machine, up to 50 s on this busy one"
    assert busy_factor(5.0, 64) == 1, "58 cores are free"


def test_the_limit_grows_with_what_was_asked() -> None:
    stressed = Work(rounds=8 + 4 * 9, doors=1)
    trained = Work(rounds=8, doors=0, model_bytes=2**30)
    measured = Work(rounds=0, doors=0, model_bytes=2**34)
    assert PROBE_SECONDS < seconds_allowed(stressed) < seconds_allowed(trained)
    assert seconds_allowed(measured) > 16 * 600
    assert seconds_allowed(trained) % 60 == 0
