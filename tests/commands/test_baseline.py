"""Files of baselines, and what decides about findings with them. ``test_decisions.py`` has whole runs."""

from __future__ import annotations

import codecs
import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from vc2doctor.checks.policy import PolicyEntry, Waiver
from vc2doctor.commands import baseline, decisions
from vc2doctor.commands.baseline import Baseline, BaselineEntry, BaselineError
from vc2doctor.commands.decisions import DecisionError
from vc2doctor.findings import Finding, Severity

EMPTY = '{"schema_version": 1, "findings": []}'


def finding(id_: str, severity: Severity = Severity.ERROR, **fields: Any) -> Finding:  # noqa: ANN401
    defaults: dict[str, Any] = {"message": f"message of {id_}", "evidence": (), "remedy": "x", "url": "https://x.org"}
    return Finding(id=id_, severity=severity, **{**defaults, **fields})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known.json"


def test_baseline_is_written_in_a_fixed_order_and_read_again(file: Path) -> None:
    paths = ("b.py", "Makefile", "a.py", None)
    findings = [*(finding("VC102", path=path) for path in paths), finding("VC101")]
    written = baseline.write(file, findings, ["4", "5", "3", "2", "1"])
    assert [(each.id, each.path, each.fingerprint) for each in written.findings] == [
        ("VC101", None, "1"),
        ("VC102", None, "2"),
        ("VC102", "Makefile", "5"),
        ("VC102", "a.py", "3"),
        ("VC102", "b.py", "4"),
    ]
    assert written.findings[0].message == "message of VC101"
    assert baseline.read(file) == written
    assert written.fingerprints == {"1", "2", "3", "4", "5"}


def test_file_of_a_baseline_can_be_compared_line_by_line_and_is_ascii(file: Path) -> None:
    baseline.write(file, [finding("VC101", message="größer", path="a.py")], ["x"])
    expected = {
        "schema_version": 1,
        "findings": [{"fingerprint": "x", "id": "VC101", "path": "a.py", "message": "größer"}],
    }
    assert file.read_bytes() == (json.dumps(expected, indent=2) + "\n").encode("ascii")


def test_a_finding_in_a_file_whose_name_is_not_utf_8_can_be_known(file: Path) -> None:
    baseline.write(file, [finding("VC101", path=os.fsdecode(b"donn\xe9es.py"))], ["x"])
    assert baseline.read(file).fingerprints == {"x"}


def test_every_finding_of_a_baseline_needs_a_fingerprint(file: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        baseline.write(file, [finding("VC101")], [])
    assert not file.exists()


_LIMIT = 16 * 1024 * 1024


@pytest.mark.parametrize("size", [_LIMIT, _LIMIT + 1])
def test_limit_of_a_baseline_is_exact(file: Path, size: int) -> None:
    file.write_text(EMPTY.ljust(size), encoding="utf-8")
    if size > _LIMIT:
        with pytest.raises(BaselineError, match=r"known.json: cannot be read: it is larger than 16 MiB"):
            baseline.read(file)
        with pytest.raises(BaselineError, match="so it is not overwritten"):
            baseline.check_replaceable(file)
    else:
        assert baseline.read(file) == Baseline()
        baseline.check_replaceable(file)


def test_byte_order_mark_does_not_count(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + EMPTY.encode())
    assert baseline.read(file) == Baseline()
    baseline.check_replaceable(file)


def test_missing_baseline_can_be_written(file: Path) -> None:
    with pytest.raises(BaselineError, match=r"--baseline .*known.json: there is no such file yet\. Write it with"):
        baseline.read(file)
    baseline.check_replaceable(file)


@pytest.mark.parametrize("version", [0, 2])
def test_baseline_of_another_version_is_replaced_and_not_used(file: Path, version: int) -> None:
    file.write_text(EMPTY.replace("1", str(version)), encoding="utf-8")
    with pytest.raises(BaselineError, match=r"known.json: the baseline is of another version of the doctor\. Write it"):
        baseline.read(file)
    baseline.check_replaceable(file)


@pytest.mark.parametrize("text", ["x = 1\n", "[]", '{"findings": 1}', '{"other": 1}'])
def test_other_file_is_neither_used_nor_replaced(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=r"known.json: the file does not hold a baseline\. Name another file"):
        baseline.read(file)
    with pytest.raises(BaselineError, match=r"known.json: .*so it is not overwritten\. Name another file"):
        baseline.check_replaceable(file)


def test_empty_file_is_no_baseline_and_can_become_one(file: Path) -> None:
    file.touch()
    with pytest.raises(BaselineError, match="does not hold a baseline"):
        baseline.read(file)
    baseline.check_replaceable(file)


def test_folder_is_neither_read_nor_called_another_file(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="cannot be read: it is a folder"):
        baseline.read(tmp_path)
    baseline.check_replaceable(tmp_path)


def test_update_writes_errors_and_warnings_which_do_not_count_any_more(file: Path) -> None:
    findings = [
        finding("VC101"),
        finding("VC102", Severity.WARNING),
        finding("VC103", Severity.NOTE),
        finding("VC029", Severity.WARNING),
    ]
    judge = decisions.judge({}, file, update=True)
    kept, waived = judge.decide(findings, ["a", "b", "c", "d"])
    assert [each.id for each in kept] == ["VC029", "VC103"]
    assert [(each.id, each.became) for each in waived] == [("VC101", "baseline"), ("VC102", "baseline")]
    assert baseline.read(file).findings == (
        BaselineEntry(fingerprint="a", id="VC101", message="message of VC101"),
        BaselineEntry(fingerprint="b", id="VC102", message="message of VC102"),
    )


def test_baseline_is_read_without_an_update(file: Path) -> None:
    baseline.write(file, [finding("VC101")], ["a"])
    judge = decisions.judge({}, file, update=False)
    assert (judge.known, judge.file) == (frozenset({"a"}), None)
    before = file.read_bytes()
    kept, _ = judge.decide([finding("VC101"), finding("VC102")], ["a", "b"])
    assert [each.id for each in kept] == ["VC102"]
    assert file.read_bytes() == before


def test_policy_counts_with_and_without_a_baseline(file: Path) -> None:
    today = date.today()  # noqa: DTZ011 - the day of the user
    entries = {
        "VC101": PolicyEntry(severity="off", reason="x", expires=today),
        "VC102": PolicyEntry(severity="off", reason="y", expires=today - timedelta(days=1)),
    }
    expected = (
        Waiver(code="VC101", severity="off", reason="x", expires=today),
        Waiver(code="VC102", severity="off", reason="y", expires=today - timedelta(days=1), is_expired=True),
    )
    assert decisions.judge(entries, None, update=False) == decisions.Judge(waivers=expected)
    assert decisions.judge(entries, file, update=True) == decisions.Judge(
        waivers=expected, file=file, name="known.json"
    )
    baseline.write(file, [], [])
    judge = decisions.judge(entries, file, update=False)
    assert judge == decisions.Judge(waivers=expected, name="known.json")
    kept, _ = judge.decide([finding("VC101"), finding("VC102")], ["a", "b"])
    assert [each.id for each in kept] == ["VC102"]


def test_every_decided_finding_needs_a_fingerprint(file: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        decisions.judge({}, file, update=True).decide([finding("VC101")], [])


def test_update_without_a_file_and_over_another_one_is_refused(file: Path) -> None:
    with pytest.raises(DecisionError, match=r"--update-baseline writes the file of --baseline\. Name it"):
        decisions.judge({}, None, update=True)
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(BaselineError, match="not overwritten"):
        decisions.judge({}, file, update=True)
