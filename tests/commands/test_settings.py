"""Settings from pyproject.toml: which file is read, and which of its keys count."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.commands.check import CheckRequest
from vc2doctor.commands.settings import LoadedSettings, SettingsError, SettingsSource, load
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import LintSettings

EVERYTHING = """[tool.vc2doctor]
python = "venv"
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
code = "src"
entry = "mine:build"

[tool.vc2doctor.lint]
select = ["VC1"]
extend-select = ["VC2"]
ignore = ["VC108"]
per-file-ignores = { "legacy/*" = ["VC101"] }
exclude = ["vendored/*"]
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def options(loaded: LoadedSettings) -> dict[str, object]:
    return {name: getattr(loaded.settings, name) for name in loaded.settings.model_fields_set}


def test_no_file_no_settings(tmp_path: Path) -> None:
    assert load(tmp_path) == LoadedSettings()


def test_a_file_without_the_table_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'x'\n")
    assert load(tmp_path) == LoadedSettings()


def test_a_file_that_was_found_cannot_choose_what_is_run_written_or_believed(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING)
    loaded = load(tmp_path)
    assert options(loaded) == {
        "profile": "videochat2-mistral",
        "precision": "fp16-scaled",
        "timeout": 60.0,
        "require": "gpu",
        "fail_on": Severity.WARNING,
    }
    assert loaded.lint == LintSettings(
        select=("VC1",), extend_select=("VC2",), ignore=("VC108",), per_file_ignores={"legacy/*": ("VC101",)}
    )
    assert loaded.applied is not None
    assert loaded.applied.file == str(path)
    assert set(loaded.applied.ignored) == {
        *("python", "device", "probe", "matrix", "format", "output", "code", "entry", "lint.exclude"),
    }
    assert "lint.per-file-ignores" in loaded.applied.applied


@pytest.mark.parametrize("named", [True, False])
def test_every_key_counts_in_a_file_that_is_named_or_trusted(tmp_path: Path, named: bool) -> None:
    path = write(tmp_path, EVERYTHING)
    source = SettingsSource(config=path) if named else SettingsSource(trust=True)
    loaded = load(tmp_path, source)
    assert loaded.settings.probe is False
    assert loaded.settings.output == tmp_path / "report.json"
    assert loaded.settings.matrix == tmp_path / "known"
    assert loaded.settings.python == tmp_path / "venv"
    assert loaded.lint.exclude == ("vendored/*",)
    assert loaded.applied is not None
    assert loaded.applied.ignored == ()


def test_isolated_reads_no_file(tmp_path: Path) -> None:
    write(tmp_path, "[tool.vc2doctor]\nnonsense = 1\n")
    assert load(tmp_path, SettingsSource(isolated=True)) == LoadedSettings()


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    write(tmp_path, "[tool.vc2doctor]\nprecision = 'fp32'\n")
    inner = tmp_path / "inner"
    write(inner, "[tool.vc2doctor]\nprecision = 'bf16'\n")
    assert options(load(inner)) == {"precision": "bf16"}
    (inner / "pyproject.toml").unlink()
    assert options(load(inner)) == {"precision": "fp32"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("precision = 'fp8'", "precision: Value error, 'fp8' is not one of fp32, bf16"),
        ("device = 'tpu'", "device: String should match pattern"),
        ("timeout = -1", "timeout: Input should be greater than 0"),
        ("timeout = nan", "timeout: Input should be"),
        ("nonsense = '/bin/sh'", "nonsense: Extra inputs are not permitted"),
        ("fail_on = 'error'", "fail_on: Extra inputs are not permitted"),
        ("probe = 'maybe'", "probe: Input should be a valid boolean"),
    ],
)
def test_what_is_wrong_is_reported_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, f"[tool.vc2doctor]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert f"{path}: [tool.vc2doctor] {message}" in str(caught.value)


@pytest.mark.parametrize("text", ["[tool", "[tool]\nvc2doctor = 1\n", "tool = 1\n"])
def test_a_file_whose_table_is_no_table(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        load(tmp_path)


def test_settings_complete_a_request_where_the_command_line_is_silent(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    loaded = load(tmp_path, SettingsSource(trust=True))
    request = loaded.complete(CheckRequest(precision="bf16"), frozenset({"precision"}))
    assert (request.precision, request.require_gpu, request.probe) == ("bf16", True, False)
    assert request.python == str(tmp_path / "venv")
    assert loaded.complete(CheckRequest(), frozenset()).precision == "fp16-scaled"
