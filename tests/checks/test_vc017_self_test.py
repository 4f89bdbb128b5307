"""An instrument that cannot fail, or cannot pass."""

from __future__ import annotations

import pytest

from tests.checks import found_by
from tests.facts import examination, probe_run, recipe, step
from vc2doctor import checks
from vc2doctor.checks import vc017_self_test as check
from vc2doctor.checks import verdict
from vc2doctor.probe.facts import RecipeRun, SelfTestRun

GOOD, POISONED = recipe("self-test"), recipe("self-test", steps=(step(0, 1.0, parameters_finite=False),))


def run(faulty: RecipeRun, clean: RecipeRun) -> SelfTestRun:
    return SelfTestRun(fault="a fault", faulty=faulty, clean=clean)


def test_a_sound_instrument() -> None:
    assert found_by(check, examination(probe=probe_run(self_test=run(POISONED, GOOD)))) == []


@pytest.mark.parametrize(("faulty", "clean"), [(GOOD, GOOD), (POISONED, POISONED), (GOOD, POISONED)])
def test_a_broken_one_ends_the_examination(faulty: RecipeRun, clean: RecipeRun) -> None:
    made = examination(probe=probe_run(self_test=run(faulty, clean)))
    (finding,) = found_by(check, made)
    assert ("the planted fault was not seen: a fault" in finding.evidence) is (faulty is GOOD)
    assert ("two float32 matrices did not train" in finding.evidence) is (clean is POISONED)
    assert verdict.verdict(made, checks.run(made)) == "incomplete"
