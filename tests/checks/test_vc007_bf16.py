"""bfloat16 on GPUs that do not compute in it."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import cuda_device, examination, gpu, probe_run
from vc2doctor.checks import policy
from vc2doctor.checks import vc007_bf16 as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity


def nvidia(name: str, capability: tuple[int, int]) -> Nvidia:
    return Nvidia(driver="580.95.05", cuda=(13, 0), gpus=(gpu(name, capability),))


@pytest.mark.parametrize(("name", "capability"), [("Tesla T4", (7, 5)), ("Tesla V100-SXM2-32GB", (7, 0))])
@pytest.mark.parametrize("precision", ["bf16", "bf16-amp", "bf16-scaled"])
def test_turing_and_volta_are_errors_that_name_other_precisions(
    name: str, capability: tuple[int, int], precision: str
) -> None:
    (finding,) = findings_of(check, examination(nvidia=nvidia(name, capability), planned={"precision": precision}))
    assert finding.severity is Severity.ERROR
    assert finding.message == f"{name} has no native bfloat16, which {precision} needs"
    assert "fp16-amp (float32 weights" in finding.remedy
    assert any("is_bf16_supported() returns True nevertheless" in text for text in finding.evidence)


def test_ampere_has_no_finding() -> None:
    assert findings_of(check, examination(nvidia=nvidia("A100", (8, 0)))) == []


@pytest.mark.parametrize("precision", ["fp16-scaled", "fp16-amp", "fp32"])
def test_precisions_without_bfloat16_have_no_finding(precision: str) -> None:
    assert findings_of(check, examination(nvidia=nvidia("Tesla T4", (7, 5)), planned={"precision": precision})) == []


def test_gpu_does_not_matter_if_the_cpu_was_chosen() -> None:
    assert findings_of(check, examination(nvidia=nvidia("Tesla T4", (7, 5)), planned={"device": "cpu"})) == []


def test_only_the_chosen_gpu_is_judged() -> None:
    two_gpus = Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)), gpu("Tesla T4", (7, 5), 1)))
    assert findings_of(check, examination(nvidia=two_gpus, planned={"device": "cuda:0"})) == []
    assert len(findings_of(check, examination(nvidia=two_gpus, planned={"device": "cuda:1"}))) == 1
    assert len(findings_of(check, examination(nvidia=two_gpus))) == 1


def test_amd_gpu_is_known_through_the_probe() -> None:
    device = cuda_device(name="AMD Radeon RX 6800", torch_hip="6.2", torch_cuda=None, architecture="gfx1030")
    (finding,) = findings_of(check, examination(probe=probe_run(device=device)))
    assert finding.evidence[0] == "gfx1030"


def test_another_card_of_the_machine_is_a_warning() -> None:
    two_gpus = Nvidia(driver="580.95.05", gpus=(gpu("A100", (8, 0)), gpu("Tesla T4", (7, 5), 1)))
    used = probe_run(device=cuda_device(name="A100", capability=(8, 0)))
    (finding,) = findings_of(check, examination(nvidia=two_gpus, probe=used))
    assert (finding.id, finding.severity) == ("VC007", Severity.WARNING)
    assert finding.message.startswith("Tesla T4 ")


def test_a_baseline_cannot_hold_the_finding_because_the_next_machine_may_have_another_gpu() -> None:
    (finding,) = findings_of(check, examination(nvidia=nvidia("Tesla T4", (7, 5))))
    assert not policy.can_be_known(finding)


def test_the_command_tries_a_precision_that_this_gpu_computes_in() -> None:
    (finding,) = findings_of(check, examination(nvidia=nvidia("Tesla T4", (7, 5))))
    assert finding.commands == ("vc2doctor check --precision fp16-amp",)
    assert finding.url.startswith("https://docs.nvidia.com/")
