"""GPUs that the installed torch cannot use."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import CPU_DEVICE, GOOD, cuda_device, examination, failure, gpu, probe_run
from vc2doctor.checks import vc008_gpu_unusable as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity

BLACKWELL = Nvidia(driver="570.124.06", cuda=(12, 8), gpus=(gpu("NVIDIA GeForce RTX 5090", (12, 0)),))
H200 = Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu("NVIDIA H200", (9, 0)),))


def test_without_a_gpu_there_is_nothing_to_say() -> None:
    assert found_by(check, examination()) == []


def test_a_card_newer_than_the_wheel() -> None:
    (finding,) = found_by(check, examination({**GOOD, "torch": "2.5.1+cu124"}, nvidia=BLACKWELL))
    assert finding.severity is Severity.ERROR
    assert "no kernel image: the GPU has compute capability 12.0 (sm_120)" in finding.message
    assert any("inferred from the released wheels" in text for text in finding.evidence)


def test_torchs_own_list_decides_where_it_was_asked() -> None:
    probe = probe_run(device=cuda_device(architectures=("sm_90",)))
    (finding,) = found_by(check, examination(nvidia=BLACKWELL, probe=probe))
    assert any("as torch itself says" in text for text in finding.evidence)


def test_a_cpu_build() -> None:
    (finding,) = found_by(check, examination(nvidia=H200))
    assert finding.message == "the installed torch cannot use NVIDIA H200: this torch is a CPU build"


def test_a_driver_that_is_too_old() -> None:
    old = H200.model_copy(update={"driver": "535.183.01"})
    (finding,) = found_by(check, examination({**GOOD, "torch": "2.13.0+cu130"}, nvidia=old))
    assert "CUDA 13.0 needs driver 580.65 or newer, and the installed driver is 535.183.01" in finding.message


def test_another_card_of_the_machine_is_only_told_of() -> None:
    both = H200.model_copy(update={"gpus": (gpu("GeForce GT 1030", (6, 1)), gpu("NVIDIA H200", (9, 0), 1))})
    made = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=both, probe=probe_run(device=cuda_device()))
    (finding,) = found_by(check, made)
    assert finding.severity is Severity.WARNING
    assert "GeForce GT 1030" in finding.message


def test_all_is_well() -> None:
    made = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=H200, probe=probe_run(device=cuda_device()))
    assert found_by(check, made) == []


def test_torch_does_not_see_what_the_driver_lists() -> None:
    blind = CPU_DEVICE.model_copy(update={"torch_cuda": "12.8"})
    made = examination({**GOOD, "torch": "2.13.0+cu128"}, nvidia=H200, probe=probe_run(device=blind))
    (finding,) = found_by(check, made)
    assert finding.message == "torch does not see NVIDIA H200, which the driver lists"


def test_a_device_that_fails() -> None:
    probe = probe_run(recipes=(), device=None, device_failure=failure("torch sees 0 GPUs: there is no cuda:0"))
    (finding,) = found_by(check, examination(probe=probe, planned={"device": "cuda:0"}))
    assert "torch sees 0 GPUs" in finding.evidence[0]
