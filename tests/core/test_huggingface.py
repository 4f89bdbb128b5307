"""The folders of Hugging Face's libraries, as their variables name them."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from vc2doctor.core import huggingface


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({}, "/home/user/.cache/huggingface"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/huggingface"),
        ({"XDG_CACHE_HOME": "/cache", "HF_HOME": "/hf"}, "/hf"),
        ({"HF_HOME": "~/hf"}, "/home/user/hf"),
    ],
)
def test_home_is_what_the_variables_name(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], home: str) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert huggingface.home_folder(variables) == Path(home)
    assert huggingface.hub_folder(variables) == Path(home, "hub")
    assert huggingface.accelerate_file(variables) == Path(home, "accelerate", "default_config.yaml")


def test_cache_of_the_hub_has_variables_of_its_own() -> None:
    assert huggingface.hub_folder({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b"}) == Path("/a")
    assert huggingface.hub_folder({"HUGGINGFACE_HUB_CACHE": "/b"}) == Path("/b")


def test_a_user_without_a_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container can run under a user id that no list of users names."""

    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert huggingface.home_folder({"HF_HOME": "/hf"}) == Path("/hf")
    assert huggingface.home_folder({}) == Path("~/.cache/huggingface")
