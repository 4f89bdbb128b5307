"""Headroom as a finding: of a checkpoint, of the user's own model, and of a model known by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import findings_of
from tests.facts import SHIPPED, examination, probe_run
from vc2doctor import checks
from vc2doctor.checks import vc019_range as check
from vc2doctor.checks import verdict
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import Headroom, PeakValue

CHECKPOINT = {"checkpoint": "/models/mine", "trains": False}


def measured(largest: float, precision: str, planned: dict[str, Any]) -> Examination:
    headroom = Headroom(
        tightest=PeakValue(module="layers.11", op="add", largest=largest), layers={"layers.11": largest}
    )
    probe = probe_run(recipes=(), adapter=None, headroom=headroom)
    return examination(probe=probe, planned={"precision": precision, **planned})


@pytest.mark.parametrize(
    ("largest", "precision", "severity"),
    [
        (7e4, "fp16-scaled", Severity.ERROR),
        (7e4, "bf16", Severity.NOTE),
        (5e4, "fp16-amp", Severity.WARNING),
        (5e4, "bf16", Severity.NOTE),
    ],
)
def test_severity_depends_on_the_deciding_precision(largest: float, precision: str, severity: Severity) -> None:
    (finding,) = findings_of(check, measured(largest, precision, CHECKPOINT))
    assert finding.severity is severity
    assert "layers.11 (add)" in finding.evidence[0]


def test_model_with_enough_headroom_has_no_finding() -> None:
    assert findings_of(check, measured(2.2e4, "fp16-scaled", CHECKPOINT)) == []


def test_range_of_the_users_own_model_counts_and_that_of_the_miniature_does_not() -> None:
    assert findings_of(check, measured(7e4, "fp16-amp", {"entry": "mine:build"}))
    assert findings_of(check, measured(7e4, "fp16-amp", {})) == []


def test_exit_code_is_1_if_float16_overflows_and_0_if_it_holds_the_range() -> None:
    for largest, expected, code in ((7e4, "unfit", 1), (2e4, "measured", 0)):
        examined = measured(largest, "fp16-scaled", CHECKPOINT)
        findings = checks.run(examined)
        assert verdict.final_verdict(examined, findings) == expected
        assert verdict.exit_code(verdict.final_verdict(examined, findings), findings, Severity.ERROR) == code


def findings_by_name(model: str, precision: str) -> list[tuple[Severity, str]]:
    profile = SHIPPED.profiles["causal-lm"].model_copy(update={"base_model": model})
    examined = examination(probe=probe_run(), planned={"precision": precision})
    findings = findings_of(check, examined.model_copy(update={"profile": profile}))
    return [(finding.severity, finding.message) for finding in findings]


def test_published_range_of_the_base_model_needs_no_run() -> None:
    message = "google/gemma-3-27b-it overflows float16: its headroom is -3.4 bits"
    assert findings_by_name("google/gemma-3-27b-it", "fp16-scaled") == [(Severity.ERROR, message)]
    assert findings_by_name("google/gemma-3-27b-it", "bf16") == [(Severity.NOTE, message)]
    assert findings_by_name("Qwen/Qwen3.5-9B", "fp16-scaled") == []
    assert findings_by_name("mistralai/Mistral-7B-Instruct-v0.2", "fp16-scaled") == []
