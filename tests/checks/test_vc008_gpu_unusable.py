"""GPUs that the installed torch cannot use."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import CPU_DEVICE, GOOD, cuda_device, examination, failure, gpu, probe_run
from vc2doctor.checks import vc008_gpu_unusable as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity

BLACKWELL = Nvidia(driver="570.124.06", cuda=(12, 8), gpus=(gpu("NVIDIA GeForce RTX 5090", (12, 0)),))
H200 = Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu("NVIDIA H200", (9, 0)),))


def test_machine_without_gpu_has_no_finding() -> None:
    assert findings_of(check, examination()) == []


def test_gpu_newer_than_the_wheel_is_an_error() -> None:
    (finding,) = findings_of(check, examination({**GOOD, "torch": "2.5.1+cu124"}, nvidia=BLACKWELL))
    assert finding.severity is Severity.ERROR
    assert "no kernel image: the GPU has compute capability 12.0 (sm_120)" in finding.message
    assert any("inferred from the released wheels" in text for text in finding.evidence)


def test_architectures_that_torch_reports_replace_the_inferred_ones() -> None:
    probe = probe_run(device=cuda_device(architectures=("sm_90",)))
    (finding,) = findings_of(check, examination(nvidia=BLACKWELL, probe=probe))
    assert any("torch itself reports" in text for text in finding.evidence)


def test_cpu_build_on_a_machine_with_gpu_is_named() -> None:
    (finding,) = findings_of(check, examination(nvidia=H200))
    assert finding.message == "the installed torch cannot use NVIDIA H200: this torch is a CPU build"


def test_driver_older_than_the_cuda_of_the_build_is_named() -> None:
    old_driver = H200.model_copy(update={"driver": "535.183.01"})
    (finding,) = findings_of(check, examination({**GOOD, "torch": "2.13.0+cu130"}, nvidia=old_driver))
    assert "CUDA 13.0 needs driver 580.65 or newer, and the installed driver is 535.183.01" in finding.message


def test_other_card_of_the_machine_is_only_a_warning() -> None:
    both = H200.model_copy(update={"gpus": (gpu("GeForce GT 1030", (6, 1)), gpu("NVIDIA H200", (9, 0), 1))})
    two_cards = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=both, probe=probe_run(device=cuda_device()))
    (finding,) = findings_of(check, two_cards)
    assert finding.severity is Severity.WARNING
    assert "GeForce GT 1030" in finding.message


def test_usable_gpu_has_no_finding() -> None:
    usable = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=H200, probe=probe_run(device=cuda_device()))
    assert findings_of(check, usable) == []


def test_gpu_that_the_driver_lists_and_torch_does_not_see_is_named() -> None:
    cpu_only = CPU_DEVICE.model_copy(update={"torch_cuda": "12.8"})
    unseen = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=H200, probe=probe_run(device=cpu_only))
    (finding,) = findings_of(check, unseen)
    assert finding.message == "torch does not see NVIDIA H200, which the driver lists"


def test_exception_of_the_device_is_evidence() -> None:
    probe = probe_run(recipes=(), device=None, device_failure=failure("torch sees 0 GPUs: there is no cuda:0"))
    (finding,) = findings_of(check, examination(probe=probe, planned={"device": "cuda:0"}))
    assert "torch sees 0 GPUs" in finding.evidence[0]
