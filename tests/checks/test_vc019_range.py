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
from vc2doctor.checks.plan import JudgedAs
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import Headroom, PeakValue
from vc2doctor.probe.gradient_range import GradientRange

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


@pytest.mark.parametrize(
    ("largest", "exponents", "says"),
    [
        (7e4, {16: 1}, "its gradients exceed float16 even without loss scaling: up to 7e+04"),
        (2.0, {-60: 3, 0: 1}, "75% of its gradients round to 0 in float16 at a loss scale of 16384"),
        (2.0, {-20: 3, 0: 1}, None),
    ],
)
def test_gradients_that_no_loss_scale_fits_are_found(
    largest: float, exponents: dict[int, int], says: str | None
) -> None:
    gradients = GradientRange(tokens=64, largest=largest, module="norm", layers={}, exponents=exponents)
    headroom = Headroom(tightest=PeakValue(module="layers.11", op="add", largest=100.0), layers={})
    probe = probe_run(recipes=(), adapter=None, headroom=headroom, gradients=gradients)
    for precision, severity in (("fp16-amp", Severity.WARNING), ("bf16", Severity.NOTE)):
        found = findings_of(check, examination(probe=probe, planned={"precision": precision, **CHECKPOINT}))
        assert [(each.severity, each.message) for each in found] == (
            [(severity, f"/models/mine: {says}")] if says else []
        )


@pytest.mark.parametrize(("precision", "count"), [("fp16-amp", 1), ("bf16-amp", 0)])
def test_family_that_fails_in_float16_training_is_named_although_its_forward_values_are_small(
    precision: str, count: int
) -> None:
    judged_as = JudgedAs(subject="qwen3_moe", reason="its config.json", model_types=("qwen3_moe",))
    found = findings_of(check, examination(planned={"precision": precision, "judged_as": judged_as}))
    assert len(found) == count
    if found:
        assert found[0].message == "Qwen3 MoE is known to fail in float16 training"
        assert "gradients overflow in the backward pass" in found[0].evidence[0]
