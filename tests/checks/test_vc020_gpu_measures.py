"""Wrong and slow results of a GPU."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
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


def findings(*measures: Measure, precision: str = "bf16") -> list[tuple[Severity, str]]:
    probe = probe_run(device=cuda_device(), measures=measures)
    probed = examination(probe=probe, planned={"precision": precision})
    return [(finding.severity, finding.message) for finding in findings_of(check, probed)]


def test_gpu_with_right_and_fast_results_has_no_finding() -> None:
    assert findings(*GOOD) == []


def test_without_probe_there_is_no_finding() -> None:
    assert findings_of(check, examination()) == []


@pytest.mark.parametrize("name", ["bf16 product", "bf16 conv3d", "bf16 sdpa"])
def test_failed_bfloat16_measure_is_an_error_only_under_bfloat16(name: str) -> None:
    failed = Measure(name=name, status="failed", description="RuntimeError: no kernel")
    assert findings(failed) == [(Severity.ERROR, f"{name} fails on this GPU")]
    assert findings(failed, precision="fp16-scaled") == []


def test_failed_float32_measure_is_an_error_under_every_precision() -> None:
    failed = Measure(name="fp32 product", status="failed", description="off by 3")
    assert findings(failed, precision="fp16-scaled") == [(Severity.ERROR, "fp32 product fails on this GPU")]


def test_slow_bfloat16_is_a_warning_only_under_bfloat16() -> None:
    slow = Measure(
        name="bf16 speed", status="measured", value=0.12, description="bfloat16 8 TFLOP/s, float16 65 TFLOP/s"
    )
    assert findings(slow) == [
        (Severity.WARNING, "bfloat16 reaches 0.12 of float16's speed on this GPU, so it is probably emulated"),
    ]
    assert findings(slow, precision="fp16-amp") == []
