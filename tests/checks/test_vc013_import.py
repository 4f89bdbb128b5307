"""Imports that fail."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import MISSING_SYMBOL, examination, failure, probe_run
from vc2doctor.checks import vc013_import as check


def test_imports_work() -> None:
    assert found_by(check, examination(probe=probe_run())) == []


def test_what_was_raised_is_told_with_its_place() -> None:
    probe = probe_run(recipes=(), import_package="peft", import_failure=failure("no", file="peft/a.py", line=3))
    (finding,) = found_by(check, examination(probe=probe))
    assert (finding.message, finding.path, finding.line) == ("import peft fails", "peft/a.py", 3)
    assert finding.evidence[0] == "RuntimeError at peft/a.py:3: no"


def test_what_a_known_issue_explains_is_left_to_it() -> None:
    probe = probe_run(recipes=(), import_package="peft", import_failure=MISSING_SYMBOL)
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}
    assert found_by(check, examination(versions, probe=probe)) == []
    assert len(found_by(check, examination(probe=probe))) == 1
