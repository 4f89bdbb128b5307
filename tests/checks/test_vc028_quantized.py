"""Quantized and FP8 formats that the code uses."""

from __future__ import annotations

from typing import Any

from tests.checks import findings_of
from tests.facts import GOOD, cuda_device, examination, gpu, probe_run
from vc2doctor.checks import vc028_quantized as check
from vc2doctor.environment.model import Nvidia
from vc2doctor.findings import Severity


def found(versions: dict[str, str], *used: str, **fields: Any) -> list[tuple[Severity, str]]:  # noqa: ANN401
    judged = examination({**GOOD, **versions}, planned={"formats": used}, **fields)
    return [(finding.severity, finding.message) for finding in findings_of(check, judged)]


def nvidia(*capabilities: tuple[int, int]) -> Nvidia:
    return Nvidia(driver="580.65", gpus=tuple(gpu("GPU", each, index) for index, each in enumerate(capabilities)))


def test_an_installed_format_that_nothing_uses_has_no_finding() -> None:
    assert found({"torchao": "0.18.0"}) == []


def test_an_inference_format_in_the_code_is_a_warning() -> None:
    assert found({"torchao": "0.18.0"}, "torchao-dynamic-float8", nvidia=nvidia((9, 0))) == [
        (Severity.WARNING, "torchao dynamic FP8 activations cannot be trained: it has no backward pass")
    ]


def test_a_format_that_trains_here_has_no_finding() -> None:
    assert found({"torchao": "0.18.0"}, "torchao-float8-training", nvidia=nvidia((9, 0))) == []


def test_a_gpu_that_lacks_the_format_is_a_warning() -> None:
    assert found({"torchao": "0.18.0"}, "torchao-float8-training", nvidia=nvidia((8, 0))) == [
        (Severity.WARNING, "torchao FP8 training does not run on this GPU")
    ]


def test_without_a_gpu_it_is_a_note_that_this_machine_cannot_tell() -> None:
    assert found({"torchao": "0.18.0"}, "torchao-float8-training") == [
        (Severity.NOTE, "torchao FP8 training cannot be judged on this machine")
    ]


def test_a_missing_package_is_a_note_because_the_branch_may_not_run() -> None:
    assert found({}, "gptq") == [(Severity.NOTE, "GPTQ is used, and gptqmodel is not installed")]


def test_the_gpu_that_the_user_chose_decides() -> None:
    judged = examination(
        {**GOOD, "torchao": "0.18.0"},
        planned={"formats": ("torchao-float8-training",), "device": "cuda:1"},
        nvidia=nvidia((8, 0), (9, 0)),
    )
    assert findings_of(check, judged) == []


def test_the_gpu_that_torch_trained_on_decides_over_what_the_driver_lists() -> None:
    probe = probe_run(device=cuda_device(capability=(9, 0)))
    assert found({"torchao": "0.18.0"}, "torchao-float8-training", nvidia=nvidia((8, 0)), probe=probe) == []


def test_an_amd_gpu_has_no_compute_capability() -> None:
    probe = probe_run(device=cuda_device(capability=(9, 4), torch_hip="6.4"))
    assert examination(probe=probe).capabilities == ()


def test_a_precision_with_a_4_bit_base_asks_for_its_format() -> None:
    judged = examination({**GOOD, "bitsandbytes": "0.38.1"}, planned={"precision": "qlora-bf16"})
    assert [finding.message for finding in findings_of(check, judged)] == [
        "bitsandbytes 0.38.1 does not have bitsandbytes NF4 and FP4 (QLoRA)"
    ]
