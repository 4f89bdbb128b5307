"""Quantized and FP8 formats by installed release and compute capability."""

from __future__ import annotations

import pytest

from vc2doctor.matrix.quantization import FormatReadiness, Readiness, readiness
from vc2doctor.matrix.quantized_formats import FORMATS, Capability

TURING, ADA, HOPPER, DATA_CENTER_BLACKWELL, CONSUMER_BLACKWELL = (7, 5), (8, 9), (9, 0), (10, 0), (12, 0)


def judged(name: str, versions: dict[str, str], *capabilities: Capability, used: bool = False) -> FormatReadiness:
    entries = readiness(versions, capabilities, frozenset({name} if used else ()))
    return next(entry for entry in entries if entry.id == name)


def test_nothing_is_said_where_no_such_package_is_installed_or_used() -> None:
    assert readiness({"torch": "2.13.0"}, (HOPPER,), frozenset()) == ()


@pytest.mark.parametrize(
    ("name", "capability", "expected"),
    [
        ("te-fp8", TURING, Readiness.GPU_REFUSED),
        ("te-fp8", ADA, Readiness.TRAINS),
        ("te-fp8-blocks", ADA, Readiness.GPU_REFUSED),
        ("te-fp8-blocks", HOPPER, Readiness.TRAINS),
        ("te-mxfp8", HOPPER, Readiness.GPU_REFUSED),
        ("te-mxfp8", DATA_CENTER_BLACKWELL, Readiness.TRAINS),
        ("te-mxfp8", CONSUMER_BLACKWELL, Readiness.GPU_REFUSED),
        ("te-nvfp4", HOPPER, Readiness.GPU_REFUSED),
        ("te-nvfp4", DATA_CENTER_BLACKWELL, Readiness.TRAINS),
    ],
)
def test_transformer_engine_needs_the_capability_of_each_format(
    name: str, capability: Capability, expected: Readiness
) -> None:
    assert judged(name, {"transformer-engine": "2.9.0"}, capability).readiness is expected


def test_the_weakest_of_several_gpus_decides() -> None:
    entry = judged("te-fp8", {"transformer-engine": "2.9.0"}, HOPPER, TURING)
    assert entry.readiness is Readiness.GPU_REFUSED
    assert entry.reason == "it needs a GPU of compute capability 8.9 or higher, and the GPU here has 7.5, 9.0"


def test_without_a_gpu_what_needs_one_cannot_be_judged() -> None:
    entry = judged("torchao-float8-training", {"torchao": "0.18.0"})
    assert entry.readiness is Readiness.UNSUPPORTED
    assert "this machine cannot tell" in entry.reason


def test_bitsandbytes_trains_adapters_on_a_cpu_in_the_releases_that_were_measured_there() -> None:
    assert judged("bitsandbytes-4bit", {"bitsandbytes": "0.50.2"}).readiness is Readiness.ADAPTERS
    assert judged("bitsandbytes-4bit", {"bitsandbytes": "0.42.0"}).readiness is Readiness.UNSUPPORTED
    assert judged("bitsandbytes-4bit", {"bitsandbytes": "0.42.0"}, TURING).readiness is Readiness.ADAPTERS


def test_inference_formats_have_no_backward_pass_on_any_gpu() -> None:
    for capabilities in ((), (TURING,), (DATA_CENTER_BLACKWELL,)):
        entry = judged("torchao-dynamic-float8", {"torchao": "0.18.0"}, *capabilities)
        assert entry.readiness is Readiness.INFERENCE_ONLY


def test_a_release_without_the_format_is_named() -> None:
    entry = judged("awq", {"autoawq": "0.1.8"}, HOPPER)
    assert entry.readiness is Readiness.RELEASE_REFUSED
    assert entry.reason == "autoawq 0.1.8 is installed, and AWQ needs autoawq>=0.2.0"


def test_what_the_code_uses_is_judged_though_it_is_not_installed() -> None:
    entry = judged("gptq", {}, HOPPER, used=True)
    assert (entry.readiness, entry.used, entry.version) == (Readiness.MISSING, True, None)
    assert entry.reason == "none of gptqmodel, auto-gptq is installed"


def test_the_installed_one_of_several_packages_is_named() -> None:
    assert judged("gptq", {"auto-gptq": "0.7.1"}, HOPPER).package == "auto-gptq"


def test_every_format_has_a_source_and_a_sign_and_an_id_of_its_own() -> None:
    assert len({form.id for form in FORMATS}) == len(FORMATS)
    for form in FORMATS:
        assert form.source.startswith("https://")
        assert form.signs
        assert form.packages
