"""A probe that misses a fault, or that rejects training without a fault."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import examination, probe_run, recipe, step
from vc2doctor import checks
from vc2doctor.checks import vc017_self_test as check
from vc2doctor.checks import verdict
from vc2doctor.probe.facts import RecipeRun, SelfTestRun

GOOD, POISONED = recipe("self-test"), recipe("self-test", steps=(step(0, 1.0, parameters_finite=False),))


def self_test(faulty: RecipeRun, clean: RecipeRun) -> SelfTestRun:
    return SelfTestRun(fault="a fault", faulty=faulty, clean=clean)


def test_passed_self_test_has_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run(self_test=self_test(POISONED, GOOD)))) == []


@pytest.mark.parametrize(("faulty", "clean"), [(GOOD, GOOD), (POISONED, POISONED), (GOOD, POISONED)])
def test_failed_self_test_makes_the_examination_incomplete(faulty: RecipeRun, clean: RecipeRun) -> None:
    probed = examination(probe=probe_run(self_test=self_test(faulty, clean)))
    (finding,) = findings_of(check, probed)
    assert ("the probe did not detect the planted fault: a fault" in finding.evidence) is (faulty is GOOD)
    assert ("two float32 matrices without a fault did not train" in finding.evidence) is (clean is POISONED)
    assert verdict.final_verdict(probed, checks.run(probed)) == "incomplete"
