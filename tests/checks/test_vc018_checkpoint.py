"""A checkpoint that cannot be loaded."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import examination, failure, probe_run
from vc2doctor import checks, verdict
from vc2doctor.checks import vc018_checkpoint as check
from vc2doctor.findings import Severity

PLANNED = {"checkpoint": "/models/mine", "trains": False}


def test_what_was_raised_is_the_evidence() -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=failure("it needs 60.1 GiB", type="MemoryError"))
    made = examination(probe=probe, planned=PLANNED)
    (finding,) = found_by(check, made)
    assert (finding.severity, finding.message) == (Severity.ERROR, "/models/mine cannot be loaded")
    assert "it needs 60.1 GiB" in finding.evidence[0]
    assert verdict.verdict(made, checks.run(made)) == "unfit"


def test_a_forward_pass_that_fails_is_told_where_nothing_is_trained() -> None:
    probe = probe_run(recipes=(), adapter=None, headroom_failure=failure("index out of range"))
    (finding,) = found_by(check, examination(probe=probe, planned=PLANNED))
    assert finding.message == "/models/mine was loaded, and its range cannot be measured"
    assert "index out of range" in finding.evidence[0]
    assert found_by(check, examination(probe=probe, planned={**PLANNED, "trains": True})) == []


def test_nothing_to_load_nothing_found() -> None:
    assert found_by(check, examination(probe=probe_run())) == []
    assert found_by(check, examination()) == []
