"""Examinations without a GPU."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import cuda_device, examination, gpu, probe_run
from vc2doctor.checks import vc009_no_gpu as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity


def test_missing_gpu_is_a_warning() -> None:
    (finding,) = findings_of(check, examination())
    assert finding.severity is Severity.WARNING
    assert finding.evidence == ("no NVIDIA driver: NVML Shared Library Not Found",)


def test_missing_gpu_is_an_error_if_it_is_required() -> None:
    (finding,) = findings_of(check, examination(planned={"require_gpu": True}))
    assert finding.severity is Severity.ERROR


def test_hidden_gpus_are_counted() -> None:
    (finding,) = findings_of(check, examination(nvidia=Nvidia(driver="580", hidden=2, visible="-1")))
    assert "CUDA_VISIBLE_DEVICES=-1 hides 2 GPUs" in finding.evidence


def test_requested_cpu_is_the_only_evidence() -> None:
    present = Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)),))
    (finding,) = findings_of(check, examination(nvidia=present, planned={"device": "cpu"}))
    assert finding.evidence == ("--device cpu was requested",)


def test_nvidia_amd_and_apple_gpus_count() -> None:
    assert findings_of(check, examination(nvidia=Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)),)))) == []
    amd = cuda_device(torch_hip="6.2", torch_cuda=None, architecture="gfx942", name="AMD Instinct MI300X")
    assert findings_of(check, examination(probe=probe_run(device=amd))) == []
    apple = cuda_device(type="mps", device="mps", capability=None, torch_cuda=None)
    assert findings_of(check, examination(probe=probe_run(device=apple))) == []


def test_what_a_cpu_cannot_show_is_listed() -> None:
    (finding,) = findings_of(check, examination(probe=probe_run()))
    assert any("flash-attention; memory" in text for text in finding.evidence)
    assert finding.evidence[-1] == "a finite float16 result on a CPU does not show that a GPU will be stable"
