"""Settings from pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.settings import SettingsError, read


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_no_file_no_settings(tmp_path: Path) -> None:
    assert read(tmp_path) == {}


def test_a_file_without_the_table(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'x'\n")
    assert read(tmp_path) == {}


def test_every_option(tmp_path: Path) -> None:
    write(
        tmp_path,
        """[tool.vc2doctor]
profile = "videochat2-mistral"
precision = "fp16"
device = "cuda:1"
timeout = 60
require = "gpu"
probe = false
fail-on = "warning"
matrix = "known"
format = "json"
output = "report.json"
""",
    )
    assert read(tmp_path) == {
        "profile": "videochat2-mistral",
        "precision": "fp16",
        "device": "cuda:1",
        "timeout": 60.0,
        "require": "gpu",
        "probe": False,
        "fail_on": "warning",
        "matrix": str(tmp_path / "known"),
        "format": "json",
        "output": str(tmp_path / "report.json"),
    }


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    write(tmp_path, "[tool.vc2doctor]\nprecision = 'fp32'\n")
    inner = tmp_path / "inner"
    write(inner, "[tool.vc2doctor]\nprecision = 'bf16'\n")
    assert read(inner) == {"precision": "bf16"}
    (inner / "pyproject.toml").unlink()
    assert read(inner) == {"precision": "fp32"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("precision = 'fp8'", "precision: Value error, 'fp8' is not one of fp32, bf16"),
        ("device = 'tpu'", "device: String should match pattern"),
        ("timeout = -1", "timeout: Input should be greater than 0"),
        ("python = '/bin/sh'", "python: Extra inputs are not permitted"),
        ("fail_on = 'error'", "fail_on: Extra inputs are not permitted"),
        ("probe = 'maybe'", "probe: Input should be a valid boolean"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, f"[tool.vc2doctor]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        read(tmp_path)
    assert f"{path}: [tool.vc2doctor] {message}" in str(caught.value)


@pytest.mark.parametrize("text", ["[tool", "[tool]\nvc2doctor = 1\n", "tool = 1\n"])
def test_what_is_no_table(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        read(tmp_path)
