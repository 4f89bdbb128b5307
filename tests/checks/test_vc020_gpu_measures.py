"""What a GPU answers."""

from __future__ import annotations

import pytest

from tests.checks import found_by
from tests.facts import cuda_device, examination, probe_run
from vc2doctor.checks import vc020_gpu_measures as check
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import Measure

GOOD = (
    Measure(name="bf16 product", status="measured", value=0.003, description="right"),
    Measure(
        name="bf16 speed", status="measured", value=0.98, unit="of float16's speed", description="bfloat16 700 TFLOP/s"
    ),
    Measure(name="flash-attention", status="unsupported", description="No module named 'flash_attn'"),
)


def found(*measures: Measure, precision: str = "bf16") -> list[tuple[Severity, str]]:
    made = probe_run(device=cuda_device(), measures=measures)
    findings = found_by(check, examination(probe=made, planned={"precision": precision}))
    return [(finding.severity, finding.message) for finding in findings]


def test_a_sound_gpu() -> None:
    assert found(*GOOD) == []


def test_no_probe_no_measure() -> None:
    assert found_by(check, examination()) == []


@pytest.mark.parametrize("name", ["bf16 product", "bf16 conv3d", "bf16 sdpa"])
def test_what_bfloat16_needs_and_cannot_have(name: str) -> None:
    failed = Measure(name=name, status="failed", description="RuntimeError: no kernel")
    assert found(failed) == [(Severity.ERROR, f"{name} fails on this GPU")]
    assert found(failed, precision="fp16-scaled") == []


def test_float32_decides_always() -> None:
    failed = Measure(name="fp32 product", status="failed", description="off by 3")
    assert found(failed, precision="fp16-scaled") == [(Severity.ERROR, "fp32 product fails on this GPU")]


def test_emulation_shows_in_the_speed() -> None:
    slow = Measure(
        name="bf16 speed", status="measured", value=0.12, description="bfloat16 8 TFLOP/s, float16 65 TFLOP/s"
    )
    assert found(slow) == [
        (Severity.WARNING, "bfloat16 runs at 0.12 of float16's speed on this GPU, as emulation does"),
    ]
    assert found(slow, precision="fp16-amp") == []
