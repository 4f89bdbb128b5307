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


def test_end_of_stderr_is_evidence() -> None:
    finding = finding_of(
        ending="signal", child=child(ending="signal", code=None, signal="SIGABRT", errors="a\nFatal: b")
    )
    assert finding.evidence[-1] == "the end of its stderr:\na\nFatal: b"
