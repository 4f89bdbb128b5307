"""Probes that did not finish."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import findings_of
from tests.facts import child, examination, probe_run
from vc2doctor.checks import vc011_probe_ended as check
from vc2doctor.findings import Finding, Severity


def finding_of(**fields: Any) -> Finding:  # noqa: ANN401
    (finding,) = findings_of(check, examination(probe=probe_run(recipes=(), **fields)))
    return finding


def test_finished_probe_has_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []
    assert findings_of(check, examination()) == []


@pytest.mark.parametrize(
    ("ending", "process", "description"),
    [
        ("timeout", {"ending": "timeout", "seconds": 300.0}, "it reached its time limit after 300 s"),
        ("signal", {"ending": "signal", "code": None, "signal": "SIGSEGV"}, "it was killed by SIGSEGV"),
        ("out-of-memory", {"ending": "signal", "code": None, "signal": "SIGKILL"}, "because memory ran out"),
        ("exit", {"code": 9}, "it ended early with exit code 9"),
        ("silent", {"code": 1}, "it reported nothing and ended with exit code 1"),
        ("flood", {"ending": "flood"}, "it wrote more events than the doctor accepts"),
        ("interrupted", {"ending": "interrupted"}, "it was interrupted"),
        ("protocol", {}, "its worker uses another version of the protocol"),
    ],
)
def test_every_ending_is_described(ending: str, process: dict[str, Any], description: str) -> None:
    finding = finding_of(ending=ending, child=child(**process), stage="importing torch")
    assert finding.severity is Severity.ERROR
    assert description in finding.message
    assert finding.evidence[0].startswith("the probe was importing torch when it ended, after ")


def test_time_out_says_how_much_was_done_and_how_long_it_will_need() -> None:
    finding = finding_of(
        ending="timeout",
        child=child(ending="timeout", seconds=300.0),
        stage="training under bf16 (2 of 4)",
        rounds_begun=2,
        rounds_planned=4,
    )
    assert finding.evidence[1] == "it had finished 1 of 4 rounds of training"
    # One round took 300 s, three are left, and half as much again is a margin.
    assert finding.remedy.startswith("Allow 1800 s. The estimate is from the rounds that were finished;")
    assert finding.commands == ("vc2doctor check --timeout 1800",)


def test_time_out_before_the_first_round_is_over_gives_a_guess() -> None:
    finding = finding_of(ending="timeout", child=child(ending="timeout", seconds=300.0), stage="importing torch")
    assert finding.remedy.startswith("Allow 900 s. This is a guess;")


@pytest.mark.parametrize("ending", ["interrupted", "out-of-memory"])
def test_what_did_not_fail_by_itself_is_run_again_with_the_same_options(ending: str) -> None:
    assert finding_of(ending=ending, child=child()).commands == ("vc2doctor check",)


def test_end_of_stderr_is_evidence() -> None:
    finding = finding_of(
        ending="signal", child=child(ending="signal", code=None, signal="SIGABRT", errors="a\nFatal: b")
    )
    assert finding.evidence[-1] == "the end of its stderr:\na\nFatal: b"
