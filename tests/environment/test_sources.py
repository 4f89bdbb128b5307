"""The processor, the GPUs and the current directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import gpu
from vc2doctor.environment import cpu, nvidia, shadow
from vc2doctor.environment.model import Gpu


def test_flags_of_an_x86_processor(tmp_path: Path) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text("model name\t: A CPU\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile\n")
    found = cpu.observe(source)
    assert (found.model, found.flags) == ("A CPU", ("avx2", "avx512f", "avx512_bf16", "amx_bf16"))


def test_flags_of_an_arm_processor(tmp_path: Path) -> None:
    source = tmp_path / "cpuinfo"
    source.write_text("Features\t: fp asimd asimdhp bf16\n")
    assert cpu.observe(source).flags == ("bf16", "asimdhp")


def test_a_machine_without_cpuinfo(tmp_path: Path) -> None:
    found = cpu.observe(tmp_path / "none")
    assert found.flags == ()
    assert found.cores >= 1


def test_this_machine_leaves_as_many_cores_as_it_says() -> None:
    assert cpu.observe().cores == len(os.sched_getaffinity(0))


def test_gpus_of_this_machine_or_why_there_are_none() -> None:
    found = nvidia.observe()
    assert bool(found.gpus) or found.note is not None


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
def test_visible_devices(visible: str | None, names: str) -> None:
    chosen = nvidia.select(DEVICES, visible)
    assert [found.name for _, found in chosen] == [f"card {letter}" for letter in names]


@given(st.text(alphabet="0123456789,-GPUabcd ", max_size=12))
def test_visible_devices_never_invents_one(visible: str) -> None:
    chosen = nvidia.select(DEVICES, visible)
    assert all(device in DEVICES for device in chosen)
    assert len({identifier for identifier, _ in chosen}) == len(chosen)


def test_mig_slices_are_chosen_by_their_identifier() -> None:
    parts = [
        (f"MIG-{n}", Gpu(index=0, name="slice", capability=(9, 0), memory_total=1, memory_free=1, mig=True))
        for n in "ab"
    ]
    assert nvidia.select(parts, "MIG-b") == parts[1:]
    assert nvidia.select(parts, "0") == parts[:1]


class TestShadow:
    """What a script started in a folder imports from there."""

    def names(self, folder: Path, installed: set[str]) -> list[str]:
        return [found.module for found in shadow.observe(folder, frozenset(installed))]

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "torch.py").touch()
        assert self.names(tmp_path, {"torch"}) == ["torch"]

    def test_a_package(self, tmp_path: Path) -> None:
        (tmp_path / "peft").mkdir()
        (tmp_path / "peft" / "__init__.py").touch()
        assert self.names(tmp_path, {"peft"}) == ["peft"]

    def test_a_plain_folder_shadows_only_what_is_not_installed(self, tmp_path: Path) -> None:
        (tmp_path / "transformers").mkdir()
        assert self.names(tmp_path, {"transformers"}) == []
        assert self.names(tmp_path, set()) == ["transformers"]

    def test_other_files_do_not(self, tmp_path: Path) -> None:
        (tmp_path / "torch_utils.py").touch()
        (tmp_path / "train.py").touch()
        assert self.names(tmp_path, set()) == []
