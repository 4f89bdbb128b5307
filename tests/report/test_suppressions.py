"""What a baseline or a policy hides is in SARIF with the reason, and in no other format: real runs, real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.facts import environment, examination
from tests.report.test_machine_formats import sarif_validator
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.lint import LintRequest, lint
from vc2doctor.commands.report import Report
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.findings import ManifestLine, Severity, WaivedFinding
from vc2doctor.linter.model import LintReport
from vc2doctor.report import formats

STEP = """\
with torch.cuda.amp.autocast(dtype=torch.float16):
    loss = model(**batch).loss
loss.backward()
optimizer.step()
"""
POLICY = '[tool.vc2doctor.policy]\nVC104 = { severity = "off", reason = "ticket 13", expires = 2099-12-31 }\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(f"import torch\n{STEP}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def linted(project: Path, **fields: Any) -> LintReport:  # noqa: ANN401 - those of a request
    return lint(LintRequest(paths=(Path("src"),), settings_source=SettingsSource(trust=True), **fields), project)


def results_of(kind: formats.ReportKind, report: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the results of a valid log."""
    log = json.loads(formats.render(kind, report, "sarif"))
    sarif_validator().validate(log)
    (run,) = log["runs"]
    results: list[dict[str, Any]] = run["results"]
    for result in results:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return results


def fingerprints_of(results: list[dict[str, Any]]) -> dict[str, bool]:
    """Return the fingerprints of results, and whether each result is suppressed."""
    return {each["partialFingerprints"]["vc2doctor/v1"]: "suppressions" in each for each in results}


def test_findings_of_a_baseline_are_suppressed_results_with_their_fingerprints(project: Path) -> None:
    before = [each for each in results_of("lint", linted(project)) if each["level"] != "note"]
    assert before
    linted(project, baseline=Path("known.json"), update_baseline=True)
    hidden = [
        each for each in results_of("lint", linted(project, baseline=Path("known.json"))) if "suppressions" in each
    ]
    for key in ("ruleId", "level", "partialFingerprints"):
        assert sorted(str(each[key]) for each in hidden) == sorted(str(each[key]) for each in before)
    for result in hidden:
        assert result["suppressions"] == [
            {"kind": "external", "status": "accepted", "justification": "it is in the baseline"}
        ]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "src/train.py"
        assert place["region"]["startLine"] > 1


def test_second_of_two_equal_findings_is_new_if_the_baseline_has_the_first(project: Path) -> None:
    linted(project, baseline=Path("known.json"), update_baseline=True)
    known = fingerprints_of(results_of("lint", linted(project, baseline=Path("known.json"))))
    code = project / "src" / "train.py"
    code.write_text(code.read_text(encoding="utf-8") + STEP, encoding="utf-8")
    after = fingerprints_of(results_of("lint", linted(project, baseline=Path("known.json"))))
    assert {name for name, is_hidden in known.items() if is_hidden} == {
        name for name, is_hidden in after.items() if is_hidden
    }
    assert len(after) > len(known)


def test_silenced_finding_has_the_reason_and_the_date_of_the_policy(project: Path) -> None:
    assert "VC104" in {each["ruleId"] for each in results_of("lint", linted(project))}
    (project / "pyproject.toml").write_text(POLICY, encoding="utf-8")
    silenced = [each for each in results_of("lint", linted(project)) if each["ruleId"] == "VC104"]
    assert silenced
    for result in silenced:
        assert result["level"] == "error"
        assert result["suppressions"][0]["justification"] == "ticket 13 (until 2099-12-31)"


def test_lowered_finding_counts_with_its_new_level(project: Path) -> None:
    (project / "pyproject.toml").write_text(POLICY.replace('"off"', '"warning"'), encoding="utf-8")
    lowered = [each for each in results_of("lint", linted(project)) if each["ruleId"] == "VC104"]
    assert [each["level"] for each in lowered] == ["warning"] * len(lowered)
    assert lowered
    assert not any("suppressions" in each for each in lowered)


def checked() -> Report:
    """Return an examination whose policy silences a finding about a line of requirements.txt."""
    waived = WaivedFinding(
        id="VC006",
        message="torch 2.6.0 and peft 0.21.2 do not train together",
        manifest=ManifestLine(path="requirements.txt", line=3),
        url="https://example.org/vc006",
        severity=Severity.ERROR,
        became="off",
        reason="the pool\x1b[31m goes in spring",
    )
    report = report_on(examination(), 1.0)
    return report.model_copy(update={"environment": environment(), "waived": (waived,)})


def test_finding_of_a_check_is_suppressed_at_the_line_of_its_manifest() -> None:
    (hidden,) = (each for each in results_of("check", checked()) if "suppressions" in each)
    assert "\x1b" not in hidden["suppressions"][0]["justification"]
    place = hidden["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("requirements.txt", 3)


@pytest.mark.parametrize("name", ["junit", "github", "gitlab"])
def test_formats_without_suppressions_show_nothing_of_it(name: str) -> None:
    assert "do not train together" not in formats.render("check", checked(), name)
