"""The processor, the GPUs, the working directory, and the builds of torch and torchvision."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import gpu
from vc2doctor.environment.model import Builds, Gpu
from vc2doctor.environment.sources import builds, cpu, nvidia, shadow


def test_half_precision_flags_of_an_x86_processor_are_read(tmp_path: Path) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text("model name\t: A CPU\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile\n")
    processor = cpu.observe(source)
    assert (processor.model, processor.flags) == ("A CPU", ("avx2", "avx512f", "avx512_bf16", "amx_bf16"))


def test_half_precision_flags_of_an_arm_processor_are_read(tmp_path: Path) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text("Features\t: fp asimd asimdhp bf16\n")
    assert cpu.observe(source).flags == ("bf16", "asimdhp")


def test_machine_without_cpuinfo_still_has_cores(tmp_path: Path) -> None:
    processor = cpu.observe(tmp_path / "none")
    assert processor.flags == ()
    assert processor.cores >= 1


def test_cores_are_those_that_this_process_may_use() -> None:
    assert cpu.observe().cores == len(os.sched_getaffinity(0))


def test_this_machine_has_gpus_or_a_note_that_says_why_not() -> None:
    driver = nvidia.observe()
    assert bool(driver.gpus) or driver.note is not None


DEVICES = [(f"GPU-{letter * 8}", gpu(f"card {letter}", (8, 0), index)) for index, letter in enumerate("abcd")]


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, "abcd"),
        ("", ""),
        ("0", "a"),
        ("2,0", "ca"),
        ("-1", ""),
        ("1,-1,2", "b"),
        ("1,9,2", "b"),
        ("1,1", "b"),
        ("GPU-cc", "c"),
        ("GPU-", ""),
        ("GPU-dddddddd,0", "da"),
        ("NoDevFiles", ""),
        (" 3 , 2 ", "dc"),
    ],
)
def test_cuda_visible_devices_selects_as_cuda_does(visible: str | None, names: str) -> None:
    selected = nvidia.select(DEVICES, visible)
    assert [device.name for _, device in selected] == [f"card {letter}" for letter in names]


@given(st.text(alphabet="0123456789,-GPUabcd ", max_size=12))
def test_cuda_visible_devices_never_adds_or_repeats_a_device(visible: str) -> None:
    selected = nvidia.select(DEVICES, visible)
    assert all(device in DEVICES for device in selected)
    assert len({identifier for identifier, _ in selected}) == len(selected)


def test_mig_slices_are_selected_by_identifier_and_the_first_by_index() -> None:
    slices = [
        (f"MIG-{n}", Gpu(index=0, name="slice", capability=(9, 0), memory_total=1, memory_free=1, mig=True))
        for n in "ab"
    ]
    assert nvidia.select(slices, "MIG-b") == slices[1:]
    assert nvidia.select(slices, "0") == slices[:1]


class TestShadow:
    """The modules that a script started in a folder imports from there."""

    def shadowed_modules(self, folder: Path, installed: set[str]) -> list[str]:
        return [entry.module for entry in shadow.observe(folder, frozenset(installed))]

    def test_file_shadows_a_package(self, tmp_path: Path) -> None:
        (tmp_path / "torch.py").touch()
        assert self.shadowed_modules(tmp_path, {"torch"}) == ["torch"]

    def test_package_folder_shadows_a_package(self, tmp_path: Path) -> None:
        (tmp_path / "peft").mkdir()
        (tmp_path / "peft" / "__init__.py").touch()
        assert self.shadowed_modules(tmp_path, {"peft"}) == ["peft"]

    def test_plain_folder_shadows_only_a_package_that_is_not_installed(self, tmp_path: Path) -> None:
        (tmp_path / "transformers").mkdir()
        assert self.shadowed_modules(tmp_path, {"transformers"}) == []
        assert self.shadowed_modules(tmp_path, set()) == ["transformers"]

    def test_files_with_other_names_shadow_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "torch_utils.py").touch()
        (tmp_path / "train.py").touch()
        assert self.shadowed_modules(tmp_path, set()) == []


def test_builds_are_read_from_the_files_of_the_packages(tmp_path: Path) -> None:
    for name, text in {"torch": "__version__ = '2.1.2+cu121'", "torchvision": "__version__ = '0.16.2'"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "version.py").write_text(text, encoding="utf-8")
    folders = dict.fromkeys(("torch", "torchvision", "peft"), tmp_path)
    assert builds.observe(folders) == Builds(by_package={"torch": "cu121"})
    assert builds.observe({}) == Builds()


def test_a_version_file_that_is_none_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "torch" / "version.py").mkdir(parents=True)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "version.py").symlink_to(tmp_path / "fifo")
    assert builds.observe(dict.fromkeys(("torch", "torchvision"), tmp_path)) == Builds()
