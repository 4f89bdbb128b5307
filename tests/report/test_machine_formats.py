"""The formats that other programs read: each follows its schema, and hostile names stay text in each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.facts import MISSING_SYMBOL, examination, probe_run, recipe
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.lint import LintRequest, lint
from vc2doctor.commands.report import Report
from vc2doctor.core.data import Data, with_texts
from vc2doctor.findings import Finding, ManifestLine, Severity
from vc2doctor.linter.model import LintReport
from vc2doctor.report import formats
from vc2doctor.report.formats import ReportKind

SARIF_SCHEMA = Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json"
GITLAB_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "pattern": "^VC[0-9]{3}$"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^(?!\\./|/).+"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
"""What https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format says in words."""
MACHINE_FORMATS = ("sarif", "junit", "github", "gitlab", "markdown", "json")
HOSTILE = (
    "\x1b]0;title\x07]]>&<script>alert(1)</script>\ud800\ufffe\n::error file=x::injected\n## heading\n%0A::add-mask::x"
    " ``` `|` [link](javascript:x) **bold** <!-- \r\n| cell |\n```\n"
)
"""Ends lines, elements, comments, cells, fences and commands, and holds what XML and UTF-8 cannot."""
CODE = """\
import torch
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16)
scaler = torch.cuda.amp.GradScaler()
with torch.cuda.amp.autocast(dtype=torch.float16):
    loss = model(**batch).loss
scaler.scale(loss).backward()
torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
scaler.step(optimizer)
scaler.update()
"""


def checked() -> Report:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0", "numpy": "2.4.6", "accelerate": "0.34.2"}
    probe = probe_run(recipe("bf16"), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    report = report_on(examination(versions, probe=probe), 1.0)
    first, *others = report.findings
    located = first.model_copy(update={"manifest": ManifestLine(path="requirements.txt", line=3)})
    return report.model_copy(update={"findings": (located, *others)})


def linted(folder: Path) -> LintReport:
    (folder / "train.py").write_text(CODE, encoding="utf-8")
    (folder / "requirements.txt").write_text("torch==2.6.0\n", encoding="utf-8")
    cells = [{"cell_type": "code", "source": CODE}]
    (folder / "train.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4}), encoding="utf-8")
    return lint(LintRequest(paths=(folder,), replacements=True), folder)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[ReportKind, Data]:
    monkeypatch.chdir(tmp_path)
    return {"check": checked(), "lint": linted(tmp_path)}


@lru_cache(maxsize=1)
def sarif_validator() -> jsonschema.protocols.Validator:
    schema = json.loads(SARIF_SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


KINDS: tuple[ReportKind, ...] = ("check", "lint")


@pytest.mark.parametrize("is_hostile", [False, True])
@pytest.mark.parametrize("kind", KINDS)
class TestSchemas:
    """Every format follows what its readers expect, whatever the texts are."""

    @pytest.fixture
    def report(self, reports: dict[ReportKind, Data], kind: ReportKind, is_hostile: bool) -> Any:  # noqa: ANN401
        return hostile_findings(reports[kind]) if is_hostile else reports[kind]

    def test_sarif_follows_the_schema_of_oasis(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        log = json.loads(formats.render(kind, report, "sarif"))
        sarif_validator().validate(log)
        (run,) = log["runs"]
        assert len(run["results"]) >= len(report.findings)
        for result in run["results"]:
            assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
            # GitHub refuses the whole file if one result has no location or no line.
            assert len(result["locations"]) == 1
            for location in result["locations"]:
                assert location["physicalLocation"]["region"]["startLine"] >= 1
                assert re.fullmatch(r"[\w./%~-]+", location["physicalLocation"]["artifactLocation"]["uri"])
        fingerprints = [result["partialFingerprints"]["vc2doctor/v1"] for result in run["results"]]
        assert len(set(fingerprints)) == len(fingerprints)

    def test_gitlab_gets_every_finding_with_a_place(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        issues = json.loads(formats.render(kind, report, "gitlab"))
        jsonschema.validate(issues, GITLAB_SCHEMA)
        assert len(issues) >= len(report.findings)
        assert len({issue["fingerprint"] for issue in issues}) == len(issues)

    def test_junit_is_well_formed_and_its_numbers_are_right(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        text = formats.render(kind, report, "junit")
        root = ET.fromstring(text)  # noqa: S314 - made here
        (suite,) = root
        cases = list(suite)
        assert {case.tag for case in cases} == {"testcase"}
        assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
        for element in (root, suite):
            assert int(element.attrib["tests"]) == len(cases) >= 1 + len(report.findings)
            assert int(element.attrib["failures"]) == len(list(suite.iter("failure")))
            assert int(element.attrib["errors"]) == len(list(suite.iter("error")))
        assert {child.tag for case in cases for child in case} <= {"failure", "error", "system-out"}
        assert "script" not in {element.tag for element in root.iter()}

    def test_github_gets_one_line_for_each_finding(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        lines = formats.render(kind, report, "github").split("\n")
        assert lines.pop() == ""
        assert len(lines) >= 1 + len(report.findings)
        for line in lines:
            assert re.fullmatch(r"::(error|warning|notice) ([^:]*)::[^\r\n]*", line), line
            properties = re.fullmatch(r"::\w+ ([^:]*)::.*", line)
            assert properties is not None
            pairs = [pair.partition("=") for pair in properties[1].split(",")]
            assert {name for name, _, _ in pairs} <= {"file", "line", "endLine", "title"}

    def test_markdown_has_the_headings_and_tables_of_the_format_only(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        outside = list(lines_outside_fences(formats.render(kind, report, "markdown")))
        for line in map(without_code, outside):
            assert line.count("<") == line.count("<http"), line
            assert not re.search(r"(?<!\\)[\[`]", line), line
            assert not line.startswith(("# ", "* [", "::")), line
        assert sum(line.startswith("## ") for line in outside) == 1
        for head, row in pairwise(outside):
            if head.startswith("|") and row.startswith("|"):
                assert cells(head) == cells(row)

    def test_no_format_holds_what_a_terminal_would_obey(self, report: Any, kind: ReportKind) -> None:  # noqa: ANN401
        for name in MACHINE_FORMATS:
            text = formats.render(kind, report, name)
            assert text.endswith("\n"), name
            text.encode("utf-8")
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text), name


def hostile_findings(report: Any) -> Any:  # noqa: ANN401 - a report of any kind
    """Return a report with hostile findings; enums, ids and numbers stay."""

    def changed(finding: Finding) -> Finding:
        made = with_texts(finding, lambda text: f"{text}{HOSTILE}")
        return made.model_copy(update={"id": finding.id})

    update: dict[str, Any] = {"findings": tuple(map(changed, report.findings))}
    if isinstance(report, LintReport):
        update["diagnoses"] = tuple(
            each.model_copy(update={"places": tuple(map(changed, each.places)), "title": HOSTILE})
            for each in report.diagnoses
        )
    elif report.probe is not None:
        outcomes = tuple(each.model_copy(update={"description": HOSTILE}) for each in report.probe.recipes)
        update["probe"] = report.probe.model_copy(update={"recipes": outcomes})
        update["judged_as"] = HOSTILE
    return report.model_copy(update=update)


def lines_outside_fences(text: str) -> Iterator[str]:
    """Yield the lines of Markdown that are in no fenced block."""
    fence = ""
    for line in text.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif opening := re.match(r"`{3,}", line):
            fence = opening[0]
        else:
            yield line
    assert not fence, "the last fence is not closed"


def without_code(line: str) -> str:
    """Return a line of Markdown without its code spans."""
    return re.sub(r"(?<![`\\])(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row))


class TestPlaces:
    """Where a finding is shown."""

    def test_finding_about_the_environment_is_at_the_line_that_asks_for_the_package(self) -> None:
        report = checked()
        first = json.loads(formats.render("check", report, "sarif"))["runs"][0]["results"][0]
        assert first["locations"] == [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "requirements.txt", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 3},
                },
                "message": {"text": "requirements.txt:3"},
            }
        ]
        assert "file=requirements.txt,line=3,title=VC005 error::" in formats.render("check", report, "github")

    def test_finding_about_the_environment_alone_has_a_place_that_says_so(self) -> None:
        report = checked()
        others = json.loads(formats.render("check", report, "sarif"))["runs"][0]["results"][1:]
        assert others
        for result in others:
            assert result["locations"] == [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "environment", "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": 1},
                    },
                    "message": {"text": "the environment, which no line of the project asks for"},
                }
            ]
        assert json.loads(formats.render("check", report, "gitlab"))[1]["location"]["path"] == "."

    def test_finding_in_a_notebook_has_the_line_of_its_cell_in_words(self, reports: dict[ReportKind, Data]) -> None:
        results = json.loads(formats.render("lint", reports["lint"], "sarif"))["runs"][0]["results"]
        in_notebook = [
            result["locations"][0]
            for result in results
            if result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "train.ipynb"
        ]
        assert in_notebook
        # The lines of a cell are not those of the file.
        assert all(location["physicalLocation"]["region"] == {"startLine": 1} for location in in_notebook)
        assert all(re.fullmatch(r"train\.ipynb#cell1:\d+", location["message"]["text"]) for location in in_notebook)


def test_sarif_fixes_do_what_fix_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = linted(tmp_path)
    (tmp_path / "train.ipynb").unlink()
    results = json.loads(formats.render("lint", report, "sarif"))["runs"][0]["results"]
    replacements = [
        replacement
        for result in results
        for fix in result.get("fixes", ())
        for change in fix["artifactChanges"]
        for replacement in change["replacements"]
    ]
    assert replacements
    by_sarif = CODE
    # From the last to the first, so that the places stay right.
    for each in sorted(replacements, key=lambda each: -int(each["deletedRegion"]["startLine"])):
        by_sarif = replaced(by_sarif, each)
    lint(LintRequest(paths=(tmp_path,), fix=True, allow_dirty=True), tmp_path)
    assert by_sarif == (tmp_path / "train.py").read_text(encoding="utf-8")


def replaced(text: str, replacement: dict[str, Any]) -> str:
    lines = text.split("\n")

    def offset(line: int, column: int) -> int:
        return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1

    region = replacement["deletedRegion"]
    start, end = (
        offset(region["startLine"], region["startColumn"]),
        offset(region["endLine"], region["endColumn"]),
    )
    return text[:start] + str(replacement["insertedContent"]["text"]) + text[end:]


def test_severities_keep_their_order_in_every_format() -> None:
    finding = Finding(id="VC001", severity=Severity.NOTE, message="m", evidence=(), remedy="", url="https://a.b")
    findings = tuple(finding.model_copy(update={"severity": severity}) for severity in Severity)
    report = checked().model_copy(update={"findings": findings})
    levels = [each["level"] for each in json.loads(formats.render("check", report, "sarif"))["runs"][0]["results"]]
    assert levels == ["note", "warning", "error"]
    gitlab = [each["severity"] for each in json.loads(formats.render("check", report, "gitlab"))]
    assert gitlab == ["info", "major", "critical"]
    github = [line.split(" ")[0] for line in formats.render("check", report, "github").splitlines()[1:]]
    assert github == ["::notice", "::warning", "::error"]
    junit = ET.fromstring(formats.render("check", report, "junit"))  # noqa: S314 - made here
    assert [case[0].tag for case in junit[0]][1:] == ["system-out", "system-out", "failure"]
