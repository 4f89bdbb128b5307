"""Probes that did not finish."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import found_by
from tests.facts import child, examination, probe_run
from vc2doctor.checks import vc011_probe_ended as check
from vc2doctor.findings import Finding, Severity


def only(**fields: Any) -> Finding:  # noqa: ANN401
    (finding,) = found_by(check, examination(probe=probe_run(recipes=(), **fields)))
    return finding


def test_finished() -> None:
    assert found_by(check, examination(probe=probe_run())) == []
    assert found_by(check, examination()) == []


@pytest.mark.parametrize(
    ("ending", "process", "told"),
    [
        ("timeout", {"ending": "timeout", "seconds": 300.0}, "its time was up after 300 s"),
        ("signal", {"ending": "signal", "code": None, "signal": "SIGSEGV"}, "it died of SIGSEGV"),
        ("out-of-memory", {"ending": "signal", "code": None, "signal": "SIGKILL"}, "want of memory"),
        ("exit", {"code": 9}, "it ended early with exit code 9"),
        ("silent", {"code": 1}, "it said nothing and ended with exit code 1"),
        ("flood", {"ending": "flood"}, "it flooded its pipe"),
        ("interrupted", {"ending": "interrupted"}, "it was interrupted"),
        ("protocol", {}, "its worker speaks another protocol"),
    ],
)
def test_every_ending_has_its_words(ending: str, process: dict[str, Any], told: str) -> None:
    finding = only(ending=ending, child=child(**process), stage="importing torch")
    assert finding.severity is Severity.ERROR
    assert told in finding.message
    assert finding.evidence[0].startswith("it was importing torch when it ended, after ")


def test_last_words_are_evidence() -> None:
    finding = only(ending="signal", child=child(ending="signal", code=None, signal="SIGABRT", errors="a\nFatal: b"))
    assert finding.evidence[-1] == "its last words on stderr:\na\nFatal: b"
