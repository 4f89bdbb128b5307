"""Nothing was trained."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import examination, probe_run
from vc2doctor.checks import vc014_not_probed as check
from vc2doctor.findings import Severity


def test_missing_probe_is_a_note() -> None:
    (finding,) = findings_of(check, examination())
    assert finding.severity is Severity.NOTE


def test_versions_can_be_accepted_and_the_note_says_how() -> None:
    inferred = {"torch": "2.13.0", "transformers": "4.40.2", "peft": "0.10.0"}
    (finding,) = findings_of(check, examination(inferred))
    assert finding.remedy.endswith("add --accept inferred.")
    for planned, versions in (({"accept": "inferred"}, inferred), ({}, {**inferred, "transformers": "9.9"})):
        (finding,) = findings_of(check, examination(versions, planned=planned))
        assert "--accept" not in finding.remedy


def test_no_note_if_the_probe_ran_or_the_stack_is_missing() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []
    assert findings_of(check, examination({})) == []
