"""Torch builds on real GPUs, from Kepler to Blackwell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import CPU_DEVICE, cuda_device, distribution
from vc2doctor.matrix.hardware import Bf16, TorchBuild, build_of, has_kernels, support

CU117 = ("sm_37", "sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86")
CU124 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CU128 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")

# name, compute capability (https://developer.nvidia.com/cuda-gpus and /cuda-legacy-gpus), native bfloat16,
# and whether wheels of CUDA 11.7 (torch 1.13), 12.4 (torch 2.5) and 12.8 (torch 2.7) carry kernels for it.
GPUS = [
    ("Tesla K40", (3, 5), False, False, False, False),
    ("Tesla K80", (3, 7), False, True, False, False),
    ("GeForce GTX 980", (5, 2), False, True, True, False),
    ("Tesla M40", (5, 2), False, True, True, False),
    ("Tesla P100", (6, 0), False, True, True, False),
    ("GeForce GTX 1080 Ti", (6, 1), False, True, True, False),
    ("Tesla P40", (6, 1), False, True, True, False),
    ("TITAN Xp", (6, 1), False, True, True, False),
    ("Tesla V100", (7, 0), False, True, True, False),
    ("TITAN V", (7, 0), False, True, True, False),
    ("Jetson AGX Xavier", (7, 2), False, True, True, False),
    ("Tesla T4", (7, 5), False, True, True, True),
    ("GeForce GTX 1660 Ti", (7, 5), False, True, True, True),
    ("GeForce RTX 2080 Ti", (7, 5), False, True, True, True),
    ("Quadro RTX 5000", (7, 5), False, True, True, True),
    ("TITAN RTX", (7, 5), False, True, True, True),
    ("A100", (8, 0), True, True, True, True),
    ("A30", (8, 0), True, True, True, True),
    ("A10", (8, 6), True, True, True, True),
    ("A40", (8, 6), True, True, True, True),
    ("RTX A6000", (8, 6), True, True, True, True),
    ("GeForce RTX 3060", (8, 6), True, True, True, True),
    ("GeForce RTX 3090", (8, 6), True, True, True, True),
    ("Jetson AGX Orin", (8, 7), True, True, True, True),
    ("L4", (8, 9), True, True, True, True),
    ("L40S", (8, 9), True, True, True, True),
    ("GeForce RTX 4090", (8, 9), True, True, True, True),
    ("RTX 6000 Ada", (8, 9), True, True, True, True),
    ("H100", (9, 0), True, False, True, True),
    ("H200", (9, 0), True, False, True, True),
    ("GH200", (9, 0), True, False, True, True),
    ("B200", (10, 0), True, False, False, True),
    ("GB200", (10, 0), True, False, False, True),
    ("B300", (10, 3), True, False, False, True),
    ("GeForce RTX 5070", (12, 0), True, False, False, True),
    ("GeForce RTX 5090", (12, 0), True, False, False, True),
    ("RTX PRO 6000 Blackwell", (12, 0), True, False, False, True),
    ("DGX Spark", (12, 1), True, False, False, True),
]


@pytest.mark.parametrize(("name", "capability", "native", "on_117", "on_124", "on_128"), GPUS)
def test_support_of_real_gpus(  # noqa: PLR0913, PLR0917 - one column each
    name: str,
    capability: tuple[int, int],
    native: bool,
    on_117: bool,
    on_124: bool,
    on_128: bool,
) -> None:
    for architectures, cuda, usable in ((CU117, (11, 7), on_117), (CU124, (12, 4), on_124), (CU128, (12, 8), on_128)):
        build = TorchBuild(cuda=cuda, architectures=architectures, inferred=False)
        result = support("nvidia", capability, build, "580.95.05")
        assert result.bf16 is (Bf16.NATIVE if native else Bf16.EMULATED), name
        assert result.usable is usable, f"{name} on CUDA {cuda}: {result.reason}"
        if not usable:
            assert "no kernel image" in result.reason


def test_the_table_has_at_least_thirty_gpus() -> None:
    assert len(GPUS) >= 30


def test_a_new_gpu_cannot_run_an_old_wheel() -> None:
    result = support("nvidia", (12, 0), TorchBuild(cuda=(12, 4), architectures=CU124), "570.124.06")
    assert not result.usable
    assert result.reason.startswith(
        "no kernel image: the GPU has compute capability 12.0 (sm_120), and this torch has kernels for sm_50"
    )


def test_ptx_runs_on_newer_gpus() -> None:
    assert has_kernels((12, 0), ("sm_90", "compute_90"))
    assert has_kernels((9, 0), ("compute_90",))
    assert not has_kernels((8, 0), ("compute_90",))


def test_architecture_specific_code_runs_on_that_architecture_only() -> None:
    assert has_kernels((9, 0), ("sm_90a",))
    assert not has_kernels((10, 3), ("sm_100a",))
    assert not has_kernels((10, 3), ("compute_100a",))


@pytest.mark.parametrize("name", ["sm_", "sm_x", "native", ""])
def test_an_architecture_that_cannot_be_read_has_no_kernels(name: str) -> None:
    assert not has_kernels((8, 0), (name,))
    assert has_kernels((8, 0), (name, "sm_80"))


def test_a_cpu_build_cannot_use_a_gpu() -> None:
    result = support("nvidia", (9, 0), TorchBuild(cpu_only=True), "580.95.05")
    assert (result.usable, result.reason) == (False, "this torch is a CPU build")


@pytest.mark.parametrize(
    ("cuda", "driver", "usable"),
    [
        ((13, 0), "580.64.99", False),
        ((13, 0), "580.65.06", True),
        ((12, 8), "525.59.99", False),
        ((12, 8), "525.60.13", True),
        ((12, 8), "535.183.01", True),
        ((11, 8), "450.79.99", False),
        ((11, 8), "450.80.02", True),
        ((10, 2), "410.47.99", False),
        ((10, 2), "410.48", True),
        ((13, 0), None, True),
        ((13, 0), "unknown", True),
    ],
)
def test_the_driver_must_support_the_cuda_version_of_the_build(
    cuda: tuple[int, int], driver: str | None, *, usable: bool
) -> None:
    build = TorchBuild(cuda=cuda, architectures=("sm_80",))
    result = support("nvidia", (8, 0), build, driver)
    assert result.usable is usable
    if not usable:
        assert f"the installed driver is {driver}" in result.reason


@pytest.mark.parametrize(
    ("architecture", "bf16"),
    [
        ("gfx942:sramecc+:xnack-", Bf16.NATIVE),
        ("gfx950", Bf16.NATIVE),
        ("gfx90a", Bf16.NATIVE),
        ("gfx908", Bf16.NATIVE),
        ("gfx1100", Bf16.NATIVE),
        ("gfx1201", Bf16.NATIVE),
        ("gfx1030", Bf16.EMULATED),
        ("gfx906", Bf16.EMULATED),
        (None, Bf16.UNKNOWN),
    ],
)
def test_bfloat16_on_amd_gpus(architecture: str | None, bf16: Bf16) -> None:
    assert support("amd", None, TorchBuild(hip=True), None, architecture).bf16 is bf16


def test_bfloat16_on_apple_gpus_is_unknown_without_a_probe() -> None:
    assert support("apple", None, TorchBuild(), None).bf16 is Bf16.UNKNOWN


def test_bfloat16_is_unknown_without_a_compute_capability() -> None:
    assert support("nvidia", None, TorchBuild(), None).bf16 is Bf16.UNKNOWN


@pytest.mark.parametrize(
    ("version", "requires", "cuda"),
    [
        ("1.13.1+cu117", (), (11, 7)),
        ("2.5.0+cu118", (), (11, 8)),
        ("2.7.0+cu128", (), (12, 8)),
        ("1.13.1", ('nvidia-cuda-runtime-cu11 (==11.7.99) ; platform_system == "Linux"',), (11, 7)),
        ("2.5.1", ("nvidia-cuda-runtime-cu12==12.4.127; platform_system == 'Linux'",), (12, 4)),
        ("2.11.0", ("nvidia-cuda-runtime==13.0.48",), (13, 0)),
        ("2.12.0", ("filelock", "cuda-toolkit[cudart,nvrtc]==13.0.2"), (13, 0)),
        ("2.5.1", ("nvidia-cuda-runtime no version", "nvidia-cuda-runtime-cu12==12.4.127"), (12, 4)),
        ("2.5.1", ("filelock",), None),
        ("2.4.0a0+07cecf4168.nv24.05", (), None),
    ],
)
def test_the_cuda_version_is_read_from_metadata(
    version: str, requires: tuple[str, ...], cuda: tuple[int, int] | None
) -> None:
    assert build_of(distribution("torch", version, requires=requires), None).cuda == cuda


def test_cpu_and_rocm_builds_have_no_cuda() -> None:
    assert build_of(distribution("torch", "2.13.0+cpu"), None).cpu_only
    assert build_of(distribution("torch", "2.5.0+rocm6.2"), None).hip
    assert build_of(None, None) == TorchBuild()


def test_what_torch_reports_outweighs_its_metadata() -> None:
    build = build_of(distribution("torch", "2.7.0+cu128"), cuda_device(architectures=("sm_80",)))
    assert (build.architectures, build.inferred) == (("sm_80",), False)


@pytest.mark.parametrize(
    ("cuda", "oldest", "too_old", "newest", "runs_newer"),
    [
        ("cu116", (3, 7), (3, 5), (8, 6), False),
        ("cu117", (3, 7), (3, 5), (8, 6), False),
        ("cu118", (3, 7), (3, 5), (9, 0), False),
        ("cu121", (5, 0), (3, 7), (9, 0), False),
        ("cu124", (5, 0), (3, 7), (9, 0), False),
        ("cu126", (5, 0), (3, 7), (9, 0), False),
        ("cu128", (7, 0), (6, 1), (12, 0), False),
        ("cu129", (7, 0), (6, 1), (12, 0), True),
        ("cu130", (7, 5), (7, 0), (12, 0), True),
    ],
)
def test_released_wheels_run_from_their_oldest_to_their_newest_gpu(
    cuda: str, oldest: tuple[int, int], too_old: tuple[int, int], newest: tuple[int, int], *, runs_newer: bool
) -> None:
    build = build_of(distribution("torch", f"2.0.0+{cuda}"), None)
    assert has_kernels(oldest, build.architectures)
    assert not has_kernels(too_old, build.architectures)
    assert has_kernels(newest, build.architectures)
    # Wheels that hold PTX run on GPUs that did not exist when they were built.
    assert has_kernels((13, 0), build.architectures) is runs_newer


def test_a_wheel_that_is_not_in_the_table_proves_nothing() -> None:
    build = build_of(distribution("torch", "2.20.0+cu199"), None)
    assert (build.cuda, build.architectures, build.inferred) == ((19, 9), (), True)
    assert support("nvidia", (8, 0), build, "580.95.05").usable is None


def test_a_torch_that_reports_no_architectures_gets_those_of_its_cuda_version() -> None:
    build = build_of(None, cuda_device(torch_cuda="12.4", architectures=()))
    assert (build.cuda, build.architectures, build.inferred) == ((12, 4), CU124, True)


def test_the_probe_tells_cpu_builds_from_those_for_other_accelerators() -> None:
    rocm = build_of(None, cuda_device(torch_cuda=None, torch_hip="6.2"))
    assert (rocm.hip, rocm.cpu_only) == (True, False)
    assert not build_of(None, CPU_DEVICE.model_copy(update={"type": "mps"})).cpu_only
    assert build_of(None, CPU_DEVICE).cpu_only


def test_a_gpu_without_an_obstacle_is_described() -> None:
    result = support("nvidia", (8, 6), TorchBuild(architectures=("sm_80",)), "580.95.05")
    assert (result.usable, result.reason) == (True, "compute capability 8.6")
    assert "Apple" in support("apple", None, TorchBuild(), None).reason


@pytest.mark.parametrize("architecture", ["gfx942", None])
def test_an_amd_gpu_is_usable_with_a_rocm_build_and_else_unknown(architecture: str | None) -> None:
    assert support("amd", None, TorchBuild(hip=True), None, architecture).usable is True
    assert support("amd", None, TorchBuild(), None, architecture).usable is None


@given(st.tuples(st.integers(3, 13), st.integers(0, 9)), st.lists(st.text(max_size=8), max_size=5))
def test_any_text_may_stand_in_a_list_of_architectures(capability: tuple[int, int], architectures: list[str]) -> None:
    has_kernels(capability, tuple(architectures))
