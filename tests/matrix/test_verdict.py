"""What a combination of versions consists of."""

from __future__ import annotations

import pytest
from packaging.version import Version

from vc2doctor.matrix.verdict import Combination

TORCH = {"torch": "2.13.0", "peft": "0.10.0"}


def test_python_is_written_beside_the_versions_if_it_is_known() -> None:
    assert Combination(python="3.11", versions=TORCH).written == {**TORCH, "python": "3.11"}
    assert Combination(python=None, versions=TORCH).written == TORCH


@pytest.mark.parametrize(
    ("versions", "installed", "added"),
    [
        (TORCH, False, {"triton": "0"}),
        (TORCH, True, {}),
        ({"torch": "2.13.0+cpu"}, False, {}),
        ({"torch": "2.13.0+cu130"}, False, {"triton": "0"}),
        ({"peft": "0.10.0"}, False, {}),
        ({"peft": "0.10.0"}, True, {}),
    ],
)
def test_an_installer_adds_triton_to_a_torch_for_gpus(
    versions: dict[str, str], added: dict[str, str], *, installed: bool
) -> None:
    combination = Combination(python="3.11", versions=versions, installed=installed)
    assert combination.named == {**versions, **added, "python": "3.11"}


def test_triton_that_is_named_keeps_its_version() -> None:
    versions = {**TORCH, "triton": "3.1.0"}
    assert Combination(python=None, versions=versions, installed=False).named == versions


def test_version_of_a_package_can_be_compared() -> None:
    assert Combination(python=None, versions=TORCH).version("torch") == Version("2.13.0")
    with pytest.raises(KeyError):
        Combination(python=None, versions=TORCH).version("transformers")


def test_a_package_that_changes_has_the_build_that_its_new_version_names() -> None:
    combination = Combination(python=None, versions=TORCH, builds={"torch": "cpu", "torchvision": "cu130"})
    changed = combination.after({"torchvision": "0.28.0+cpu"})
    assert changed.versions == {**TORCH, "torchvision": "0.28.0+cpu"}
    assert changed.builds == {"torch": "cpu"}
    assert combination.builds == {"torch": "cpu", "torchvision": "cu130"}
