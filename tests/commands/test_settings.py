"""Settings from pyproject.toml: which file is read, and which of its keys count."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.commands.request import CheckRequest
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


def settings_that_count(loaded: LoadedSettings) -> dict[str, object]:
    return {name: getattr(loaded.settings, name) for name in loaded.settings.model_fields_set}


def test_without_file_there_are_no_settings(tmp_path: Path) -> None:
    assert load(tmp_path) == LoadedSettings()


def test_file_without_the_table_has_no_settings(tmp_path: Path) -> None:
    write(tmp_path, "[project]\nname = 'x'\n")
    assert load(tmp_path) == LoadedSettings()


def test_file_that_was_not_chosen_cannot_choose_what_is_run_written_or_believed(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING)
    loaded = load(tmp_path)
    assert settings_that_count(loaded) == {
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


@pytest.mark.parametrize("is_chosen", [True, False])
def test_every_key_counts_in_a_file_that_is_chosen_or_trusted(tmp_path: Path, is_chosen: bool) -> None:
    path = write(tmp_path, EVERYTHING)
    source = SettingsSource(config=path) if is_chosen else SettingsSource(trust=True)
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


def test_nearest_file_counts(tmp_path: Path) -> None:
    write(tmp_path, "[tool.vc2doctor]\nprecision = 'fp32'\n")
    inner_folder = tmp_path / "inner"
    write(inner_folder, "[tool.vc2doctor]\nprecision = 'bf16'\n")
    assert settings_that_count(load(inner_folder)) == {"precision": "bf16"}
    (inner_folder / "pyproject.toml").unlink()
    assert settings_that_count(load(inner_folder)) == {"precision": "fp32"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("precision = 'fp8'", "precision: there is no recipe 'fp8'."),
        ("precision = 'float16'", "precision: there is no recipe 'float16'. Did you mean fp16-amp or fp16-scaled?"),
        ("device = 'tpu'", "device: must be auto, cpu or cuda:N, not 'tpu'"),
        ("policy.VC1055 = {}", "policy: there is no check or rule VC1055. Did you mean VC105?"),
        ("policy.VC999 = {}", "policy: there is no check or rule VC999"),
        ("policy.VC105 = 'off'", 'Write it so: VC105 = { severity = "off", reason = "why", expires = 2027-03-31 }'),
        ("timeout = -1", "timeout: must be greater than 0, not '-1'"),
        ("timeout = nan", "timeout: must be a finite number, not 'nan'"),
        ("nonsense = '/bin/sh'", "unknown setting 'nonsense'."),
        ("fail_on = 'error'", "unknown setting 'fail_on'. Did you mean 'fail-on'?"),
        ("precison = 'bf16'", "unknown setting 'precison'. Did you mean 'precision'?"),
        ("lint.selct = []", "unknown setting 'lint.selct'. Did you mean 'lint.select'?"),
        ("probe = 'maybe'", "probe: must be a valid boolean, not 'maybe'"),
        ("policy = 3", "policy: must be a table, not '3'"),
        ("policy.VC101 = 'off'", 'Write it so: VC101 = { severity = "off", reason = "why", expires = '),
        ("policy.VC101.severity = 'error'", "policy.VC101.reason: this key is missing"),
        ("policy.vc7.severity = 'error'", "policy: there is no check or rule vc7. Ids look like VC001."),
    ],
)
def test_wrong_key_or_value_is_reported_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, f"[tool.vc2doctor]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert f"{path}: [tool.vc2doctor] " in str(caught.value)
    assert message in str(caught.value)


def test_lines_of_the_policy_are_known_as_keys_and_as_tables(tmp_path: Path) -> None:
    entry = '{ severity = "error", reason = "VC104 = x" }'
    text = f"""# VC105 and VC106
[tool.vc2doctor.policy]
VC105 = {entry}
"VC106" = {entry}
[tool.vc2doctor.policy.VC107]
severity = "error"
reason = "x"
"""
    write(tmp_path, text)
    applied = load(tmp_path).applied
    assert applied is not None
    assert applied.policy_lines == {"VC105": 3, "VC106": 4, "VC107": 5}


def test_date_that_does_not_exist_is_named(tmp_path: Path) -> None:
    write(tmp_path, '[tool.vc2doctor.policy]\nVC105 = { severity = "off", reason = "x", expires = 2027-13-01 }\n')
    with pytest.raises(SettingsError, match="2027-13-01 is not a date: write year-month-day"):
        load(tmp_path)


@pytest.mark.parametrize(("table", "names"), [("tool.vc2doctr", ("tool.vc2doctr",)), ("tool.black", ())])
def test_table_whose_name_is_nearly_right_is_noticed(tmp_path: Path, table: str, names: tuple[str, ...]) -> None:
    write(tmp_path, f"[{table}]\nprecision = 'bf16'\n")
    loaded = load(tmp_path)
    assert settings_that_count(loaded) == {}
    assert (loaded.applied.misspelled if loaded.applied is not None else ()) == names


@pytest.mark.parametrize("text", ["[tool", "[tool]\nvc2doctor = 1\n", "tool = 1\n"])
def test_file_that_is_not_toml_or_whose_table_is_no_table_is_an_error(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=r"pyproject\.toml"):
        load(tmp_path)


def test_settings_fill_the_fields_that_the_command_line_leaves_open(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    loaded = load(tmp_path, SettingsSource(trust=True))
    request = loaded.complete(CheckRequest(precision="bf16"), frozenset({"precision"}))
    assert (request.precision, request.require_gpu, request.probe) == ("bf16", True, False)
    assert request.python == str(tmp_path / "venv")
    assert loaded.complete(CheckRequest(), frozenset()).precision == "fp16-scaled"


def test_file_in_a_folder_above_is_marked(tmp_path: Path) -> None:
    path = write(tmp_path, "[tool.vc2doctor]\nprecision = 'fp32'\n")
    (tmp_path / "inner").mkdir()
    for folder, source, is_above in (
        (tmp_path, SettingsSource(), False),
        (tmp_path / "inner", SettingsSource(), True),
        (tmp_path / "inner", SettingsSource(config=path), False),
    ):
        applied = load(folder, source).applied
        assert applied is not None
        assert applied.is_above is is_above
        assert ("in a folder above" in applied.description) is is_above


@pytest.mark.parametrize("text", ["a" + ".a" * 100_000 + " = 1", "a = " + "[" * 100_000, f"a = {'1' * 5000}"])
def test_file_over_a_budget_is_an_error(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=r"pyproject\.toml: cannot be read"):
        load(tmp_path)


def test_settings_file_that_never_ends_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it is a device, not a regular file"):
        load(tmp_path, SettingsSource(config=Path("/dev/zero")))
