"""An instrument that cannot fail, or cannot pass."""

from __future__ import annotations

import pytest

from tests.checks import found_by
from tests.facts import examination, probe_run
from vc2doctor import checks, verdict
from vc2doctor.checks import vc017_self_test as check
from vc2doctor.probe.model import SelfTest


def test_a_sound_instrument() -> None:
    sound = SelfTest(fault="x", seen=True, passed=True)
    assert found_by(check, examination(probe=probe_run(self_test=sound))) == []


@pytest.mark.parametrize(("seen", "passed"), [(False, True), (True, False), (False, False)])
def test_a_broken_one_ends_the_examination(seen: bool, passed: bool) -> None:
    made = examination(probe=probe_run(self_test=SelfTest(fault="a fault", seen=seen, passed=passed)))
    (finding,) = found_by(check, made)
    assert ("the planted fault was not seen: a fault" in finding.evidence) is not seen
    assert verdict.verdict(made, checks.run(made)) == "incomplete"
