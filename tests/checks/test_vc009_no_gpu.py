"""No GPU."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import cuda_device, examination, gpu, probe_run
from vc2doctor.checks import vc009_no_gpu as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity


def test_it_is_a_warning() -> None:
    (finding,) = found_by(check, examination())
    assert finding.severity is Severity.WARNING
    assert finding.evidence == ("no NVIDIA driver: NVML Shared Library Not Found",)


def test_for_a_gate_it_is_an_error() -> None:
    (finding,) = found_by(check, examination(planned={"require_gpu": True}))
    assert finding.severity is Severity.ERROR


def test_hidden_gpus_are_told() -> None:
    (finding,) = found_by(check, examination(nvidia=Nvidia(driver="580", hidden=2, visible="-1")))
    assert "CUDA_VISIBLE_DEVICES=-1 hides 2" in finding.evidence


def test_the_cpu_was_asked_for() -> None:
    present = Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)),))
    (finding,) = found_by(check, examination(nvidia=present, planned={"device": "cpu"}))
    assert finding.evidence == ("--device cpu was asked for",)


def test_any_gpu_will_do() -> None:
    assert found_by(check, examination(nvidia=Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)),)))) == []
    amd = cuda_device(torch_hip="6.2", torch_cuda=None, architecture="gfx942", name="AMD Instinct MI300X")
    assert found_by(check, examination(probe=probe_run(device=amd))) == []
    apple = cuda_device(type="mps", device="mps", capability=None, torch_cuda=None)
    assert found_by(check, examination(probe=probe_run(device=apple))) == []


def test_what_a_cpu_cannot_say_is_listed() -> None:
    (finding,) = found_by(check, examination(probe=probe_run()))
    assert any("flash-attention; memory" in told for told in finding.evidence)
    assert finding.evidence[-1] == "finite in float16 means here: no defect of versions or configuration"
