"""Policies and baselines of real runs of the linter, and that a checkout cannot silence its own gate."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from tests.conftest import Venv
from vc2doctor.commands import fingerprints
from vc2doctor.commands.baseline import MAX_BYTES, BaselineError
from vc2doctor.commands.check import check
from vc2doctor.commands.decisions import DecisionError
from vc2doctor.commands.lint import LintRequest, lint
from vc2doctor.commands.report import Report
from vc2doctor.commands.request import CheckRequest
from vc2doctor.commands.settings import SettingsError, SettingsSource, load
from vc2doctor.linter.model import LintReport
from vc2doctor.report.formats import sarif

LOOP = """\
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("x", torch_dtype=torch.float16)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
for batch in loader:
    with torch.autocast("cuda", dtype=torch.float16):
        loss = model(**batch).loss
    loss.backward()
    optimizer.step()
"""
POLICY = """\
[tool.vc2doctor.policy]
VC101 = { severity = "note", reason = "ticket 12", expires = 2099-12-31 }
VC104 = { severity = "off", reason = "ticket 13", expires = 2099-12-31 }
VC105 = { severity = "error", reason = "we clip" }
"""
TRUSTED, FOUND = SettingsSource(trust=True), SettingsSource()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text(LOOP, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def linted(project: Path, source: SettingsSource = FOUND, **fields: object) -> LintReport:
    values = {"paths": (Path(),), "settings_source": source, **fields}
    return lint(LintRequest.model_validate(values), project)


def severities(report: LintReport) -> dict[str, str]:
    return {finding.id: finding.severity.value for finding in report.findings}


def test_trusted_policy_lowers_silences_and_raises(project: Path) -> None:
    before = severities(linted(project))
    assert (before["VC101"], before["VC104"], before["VC105"]) == ("warning", "error", "note")
    (project / "pyproject.toml").write_text(POLICY, encoding="utf-8")
    report = linted(project, TRUSTED)
    after = severities(report)
    assert (after["VC101"], after["VC105"]) == ("note", "error")
    assert "VC104" not in after
    assert {(each.id, each.became) for each in report.waived} == {("VC101", "note"), ("VC104", "off")}


def test_found_policy_only_raises(project: Path) -> None:
    (project / "pyproject.toml").write_text(POLICY, encoding="utf-8")
    report = linted(project)
    assert (severities(report)["VC101"], severities(report)["VC104"]) == ("warning", "error")
    assert severities(report)["VC105"] == "error"
    assert report.settings is not None
    assert report.settings.applied == ("policy.VC105",)
    assert report.settings.ignored == ("policy.VC101", "policy.VC104")
    assert report.exit_code == 1


def test_expired_entry_is_a_finding_of_lint(project: Path) -> None:
    (project / "pyproject.toml").write_text(POLICY.replace("2099", "2020"), encoding="utf-8")
    report = linted(project, TRUSTED)
    assert [finding.message for finding in report.findings if finding.id == "VC029"] == [
        "the policy on VC101 expired on 2020-12-31",
        "the policy on VC104 expired on 2020-12-31",
    ]
    assert severities(report)["VC104"] == "error"


def test_unknown_code_in_a_policy_is_an_error(project: Path) -> None:
    (project / "pyproject.toml").write_text(POLICY.replace("VC105", "VC999"), encoding="utf-8")
    with pytest.raises(SettingsError, match="there is no check or rule VC999"):
        load(project)


def test_baseline_lets_only_new_findings_count(project: Path) -> None:
    file = project / "known.json"
    updated = linted(project, baseline=file, update_baseline=True)
    assert updated.exit_code == 0
    # Lines that move do not matter.
    (project / "train.py").write_text(f"# a comment\n{LOOP}", encoding="utf-8")
    again = linted(project, baseline=file)
    assert again.exit_code == 0
    assert {each.became for each in again.waived} == {"baseline"}
    (project / "new.py").write_text(LOOP, encoding="utf-8")
    report = linted(project, baseline=file)
    assert report.exit_code == 1
    errors = {finding.path for finding in report.findings if finding.severity.value == "error"}
    assert errors == {"new.py"}


def test_fingerprints_of_a_baseline_are_those_of_sarif(project: Path) -> None:
    shown = json.loads(sarif.lint(linted(project)))["runs"][0]["results"]
    of_sarif = {each["partialFingerprints"]["vc2doctor/v1"] for each in shown if each["level"] != "note"}
    file = project / "known.json"
    linted(project, baseline=file, update_baseline=True)
    entries = json.loads(file.read_text(encoding="utf-8"))["findings"]
    assert {entry["fingerprint"] for entry in entries} == of_sarif


def test_byte_order_mark_of_a_baseline_does_not_matter(project: Path) -> None:
    file = project / "known.json"
    linted(project, baseline=file, update_baseline=True)
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
    assert linted(project, baseline=file).exit_code == 0


@pytest.mark.parametrize("content", [b"x = 1\n", b"{}[", b"\xff\xfe", b" " * (MAX_BYTES + 1)])
def test_update_overwrites_no_file_that_holds_something_else(project: Path, content: bytes) -> None:
    file = project / "model.py"
    file.write_bytes(content)
    with pytest.raises(BaselineError, match="so it is not overwritten"):
        linted(project, baseline=file, update_baseline=True)
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b'{"schema_version": 9, "findings": []}'])
def test_update_overwrites_an_empty_file_and_an_older_baseline(project: Path, content: bytes) -> None:
    file = project / "known.json"
    file.write_bytes(content)
    assert linted(project, baseline=file, update_baseline=True).exit_code == 0
    assert linted(project, baseline=file).exit_code == 0


@pytest.mark.parametrize("text", [None, "{}[", '{"findings": 3}', '{"schema_version": 9, "findings": []}'])
def test_baseline_that_cannot_be_used_is_an_error(project: Path, text: str | None) -> None:
    file = project / "known.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match="--update-baseline"):
        linted(project, baseline=file)


def test_update_needs_a_file(project: Path) -> None:
    with pytest.raises(DecisionError, match="Name it"):
        linted(project, update_baseline=True)


class TestCheck:
    """The same for ``check --code``, which is a gate."""

    @pytest.fixture
    def venv(self, venv: Venv) -> Venv:
        venv.add_stack()
        return venv

    def checked(self, project: Path, venv: Venv, source: SettingsSource = FOUND, **fields: object) -> Report:
        loaded = load(project, source)
        values = {"python": venv.python, "code": project, "probe": False, "settings_source": source, **fields}
        # Under bfloat16 these versions are known to train, so only the findings decide.
        defaults = {"precision": "bf16", "accept": "inferred", "settings": loaded.applied}
        request = CheckRequest.model_validate({**defaults, **values})
        return check(loaded.complete(request, frozenset()), project, lambda _: None)

    def test_code_cannot_silence_its_own_gate(self, project: Path, venv: Venv) -> None:
        before = {each.id for each in self.checked(project, venv).findings}
        (project / "pyproject.toml").write_text(
            f'{POLICY}\n[tool.vc2doctor.lint]\nignore = ["VC1"]\n[tool.vc2doctor]\naccept = "versions"\n'
            'baseline = "known.json"\n',
            encoding="utf-8",
        )
        report = self.checked(project, venv)
        assert report.verdict == "unfit"
        assert {each.id for each in report.findings} == before | {"VC021"}
        ignored = next(each.message for each in report.findings if each.id == "VC021")
        for name in ("accept", "baseline", "lint.ignore", "policy.VC101", "policy.VC104"):
            assert name in ignored
        assert report.waived == ()

    def test_trusted_policy_decides_the_verdict_and_is_named(self, project: Path, venv: Venv) -> None:
        text = "".join(
            f'{each} = {{ severity = "off", reason = "ticket", expires = 2099-12-31 }}\n'
            for each in ("VC101", "VC102", "VC104", "VC109")
        )
        (project / "pyproject.toml").write_text(f"[tool.vc2doctor.policy]\n{text}", encoding="utf-8")
        report = self.checked(project, venv, TRUSTED)
        assert not [each for each in report.findings if each.severity.value == "error"]
        assert report.waived
        assert report.exit_code == 0

    def test_baseline_of_a_check_is_written_and_used(self, project: Path, venv: Venv) -> None:
        file = project / "known.json"
        assert self.checked(project, venv).exit_code == 1
        assert self.checked(project, venv, baseline=file, update_baseline=True).exit_code == 0
        report = self.checked(project, venv, baseline=file)
        assert report.exit_code == 0
        assert {each.became for each in report.waived} == {"baseline"}
        (project / "new.py").write_text(LOOP, encoding="utf-8")
        assert self.checked(project, venv, baseline=file).exit_code == 1

    def test_baseline_holds_nothing_about_the_machine(self, project: Path, venv: Venv) -> None:
        file = project / "known.json"
        written = self.checked(project, venv, baseline=file, update_baseline=True, require_gpu=True)
        assert "VC009" in {each.id for each in written.findings}, "this machine has no GPU"
        assert written.exit_code == 1
        entries = json.loads(file.read_text(encoding="utf-8"))["findings"]
        assert entries
        assert "VC009" not in {each["id"] for each in entries}

    def test_old_baseline_with_a_finding_about_a_machine_does_not_silence_it(self, project: Path, venv: Venv) -> None:
        file = project / "known.json"
        findings = self.checked(project, venv).findings
        entries = [
            {"fingerprint": name, "id": each.id, "message": each.message}
            for each, name in zip(findings, fingerprints.of_check(findings), strict=True)
        ]
        file.write_text(json.dumps({"schema_version": 1, "findings": entries}), encoding="utf-8")
        remaining = self.checked(project, venv, baseline=file).findings
        assert "VC009" in {each.id for each in remaining}

    def test_silenced_failure_of_training_is_not_called_fit(self, project: Path, venv: Venv) -> None:
        (project / "train.py").write_text("", encoding="utf-8")
        report = self.checked(project, venv, accept=None)
        assert report.verdict == "unproven"
