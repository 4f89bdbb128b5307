"""Imports that fail."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import MISSING_SYMBOL, examination, failure, probe_run
from vc2doctor.checks import vc013_import as check


def test_imports_that_work_have_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []


def test_exception_is_evidence_with_its_file_and_line() -> None:
    probe = probe_run(recipes=(), import_package="peft", import_failure=failure("no", file="peft/a.py", line=3))
    (finding,) = findings_of(check, examination(probe=probe))
    assert (finding.message, finding.path, finding.line) == ("import peft fails", "peft/a.py", 3)
    assert finding.evidence[0] == "RuntimeError at peft/a.py:3: no"


def test_import_error_that_a_known_issue_explains_is_left_to_vc005() -> None:
    probe = probe_run(recipes=(), import_package="peft", import_failure=MISSING_SYMBOL)
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}
    assert findings_of(check, examination(versions, probe=probe)) == []
    assert len(findings_of(check, examination(probe=probe))) == 1
