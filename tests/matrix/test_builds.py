"""torchvision beside a torch of another build. Releases and builds are those of the wheels on PyPI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import GOOD, SHIPPED, examination
from vc2doctor.environment.model import Builds
from vc2doctor.matrix.builds import build_mismatch, with_build
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.releases import Release, Wheels

NO_SYMBOLS: Any = {"required": (), "provided": ()}
NMS = "operator torchvision::nms does not exist"
OTHER_CUDA = "PyTorch and torchvision were compiled with different CUDA versions"


def asked(torch: str, torchvision: str, /, **builds: str) -> Combination:
    return Combination(python="3.11", versions={"torch": torch, "torchvision": torchvision}, builds=builds)


@pytest.mark.parametrize(
    ("torch", "torchvision", "error"),
    [
        ("2.13.0+cpu", "0.28.0", NMS),
        ("2.13.0+cpu", "0.28.0+cpu", None),
        ("2.13.0", "0.28.0", None),
        ("2.13.0", "0.28.0+cpu", None),
        ("2.13.0+cu129", "0.28.0", OTHER_CUDA),
        ("2.13.0+cu132", "0.28.0", None),
        ("2.1.2+cu118", "0.16.2", OTHER_CUDA),
        ("2.1.2", "0.16.2+cu118", OTHER_CUDA),
        ("2.1.2+cu118", "0.16.2+cu118", None),
        # Before 0.16 the second number of CUDA had to be the same as well.
        ("2.0.1+cu118", "0.15.2", OTHER_CUDA),
        ("2.0.1", "0.15.2", None),
        ("2.0.1+cu118", "0.15.2+cu118", None),
        # From 0.16.0 on the second number may differ: torch was built from source with CUDA 12.2.
        ("2.1.0+cu122", "0.16.0", None),
        # No torchvision on PyPI requires this torch, so its build is not known.
        ("99.0.0", "0.28.0", None),
        ("2.4.1+rocm6.1", "0.19.1", None),
        ("2.6.0a0+ecf3bae40a.nv25.01", "0.21.0", None),
        ("2.13.0+cpu", "99.0.0", None),
        # A version without its last zero is the same version.
        ("2.13+cpu", "0.28", NMS),
        ("2.13", "0.15.2+cu117", OTHER_CUDA),
    ],
)
def test_builds_of_released_wheels(torch: str, torchvision: str, error: str | None) -> None:
    mismatch = build_mismatch(asked(torch, torchvision), SHIPPED.wheels)
    assert (mismatch is None) == (error is None)
    assert error is None or (mismatch is not None and mismatch.endswith(error))


def test_files_that_were_read_count_more_than_the_index() -> None:
    wheels = SHIPPED.wheels
    assert build_mismatch(asked("2.13.0", "0.28.0", torch="cpu", torchvision="cu130"), wheels) is not None
    # Not a wheel of PyPI for x86-64: its version.py names no build.
    assert build_mismatch(asked("2.13.0+cpu", "0.28.0", torch="cpu"), wheels) is None


def test_without_an_index_only_a_build_that_a_version_names_is_known() -> None:
    unread = {"torchvision": {"0.28.0": Release(date="2026-07-08")}}
    for releases in ({}, unread):
        assert build_mismatch(asked("2.13.0", "0.28.0+cu118"), Wheels(date="", releases=releases, **NO_SYMBOLS)) is None
    wheels = Wheels(date="", releases={}, **NO_SYMBOLS)
    assert build_mismatch(asked("2.13.0", "0.28.0"), wheels) is None
    assert build_mismatch(asked("2.13.0+cpu", "0.28.0"), wheels) is None
    assert build_mismatch(asked("2.13.0+cpu", "0.28.0+cu130"), wheels) is not None


def test_builds_that_are_not_named_are_judged_by_the_wheels_of_the_index() -> None:
    judgement = judge(asked("2.13.0+cpu", "0.28.0"), SHIPPED, "bf16")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.reason.endswith(NMS)


def test_without_torchvision_there_is_no_mismatch() -> None:
    assert build_mismatch(Combination(python=None, versions={"torch": "2.13.0+cpu"}), SHIPPED.wheels) is None


def test_a_release_gets_the_build_of_torch_only_where_that_of_the_index_does_not_fit() -> None:
    combination = asked("2.13.0+cpu", "0.28.0")
    assert with_build("torchvision", "0.28.0", combination, SHIPPED.wheels) == "0.28.0+cpu"
    assert with_build("peft", "0.19.0", combination, SHIPPED.wheels) == "0.19.0"
    assert with_build("torchvision", "0.28.0", asked("2.13.0", "0.28.0"), SHIPPED.wheels) == "0.28.0"
    # Before 0.16 a torch for CUDA 11.8 needs the torchvision for CUDA 11.8, and PyPI has that for CUDA 11.7.
    other_minor = asked("2.0.1+cu118", "0.15.1+cu118")
    assert with_build("torchvision", "0.15.2", other_minor, SHIPPED.wheels) == "0.15.2+cu118"


def test_the_verdict_and_the_command_name_the_build() -> None:
    builds = {"builds": Builds(by_package={"torch": "cpu", "torchvision": "cu130"})}
    facts = examination({**GOOD, "torchvision": "0.28.0"}, further=builds)
    assert GOOD["torch"] == "2.13.0+cpu"
    judgement = judge(facts.combination, SHIPPED, "bf16")
    assert judgement.verdict is Verdict.INCOMPATIBLE
    assert judgement.reason.startswith("torchvision 0.28.0 is compiled for CUDA 13.0 (cu130) and torch for CPUs (cpu)")
    assert facts.version_plan.commands[0] == (
        "/env/bin/python -m pip install torchvision==0.28.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu"
    )
