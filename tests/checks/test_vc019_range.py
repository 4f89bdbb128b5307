"""Headroom as a finding: of a checkpoint, of the user's own model, and of a model by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import found_by
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
def test_the_precision_that_decides_decides(largest: float, precision: str, severity: Severity) -> None:
    (finding,) = found_by(check, measured(largest, precision, CHECKPOINT))
    assert finding.severity is severity
    assert "layers.11 (add)" in finding.evidence[0]


def test_room_enough() -> None:
    assert found_by(check, measured(2.2e4, "fp16-scaled", CHECKPOINT)) == []


def test_the_users_own_model_counts_and_the_miniature_does_not() -> None:
    assert found_by(check, measured(7e4, "fp16-amp", {"entry": "mine:build"}))
    assert found_by(check, measured(7e4, "fp16-amp", {})) == []


def test_a_range_that_float16_cannot_hold_ends_1_and_one_that_it_can_ends_0() -> None:
    for largest, found, code in ((7e4, "unfit", 1), (2e4, "measured", 0)):
        made = measured(largest, "fp16-scaled", CHECKPOINT)
        findings = checks.run(made)
        assert verdict.verdict(made, findings) == found
        assert verdict.exit_code(verdict.verdict(made, findings), findings, Severity.ERROR) == code


def by_name(model: str, precision: str) -> list[tuple[Severity, str]]:
    made = examination(probe=probe_run(), planned={"precision": precision})
    profile = SHIPPED.profiles["causal-lm"].model_copy(update={"base_model": model})
    named = made.model_copy(update={"profile": profile})
    return [(finding.severity, finding.message) for finding in found_by(check, named)]


def test_a_known_model_needs_no_run() -> None:
    message = "google/gemma-3-27b-it: -3.4 bits of headroom, float16 overflows"
    assert by_name("google/gemma-3-27b-it", "fp16-scaled") == [(Severity.ERROR, message)]
    assert by_name("google/gemma-3-27b-it", "bf16") == [(Severity.NOTE, message)]
    assert by_name("Qwen/Qwen3.5-9B", "fp16-scaled") == []
    assert by_name("mistralai/Mistral-7B-Instruct-v0.2", "fp16-scaled") == []
