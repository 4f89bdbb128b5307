"""An entry of the policy has expired."""

from __future__ import annotations

from datetime import date

from tests.checks import findings_of
from tests.facts import examination
from vc2doctor.checks import vc029_expired_waiver as check
from vc2doctor.checks.policy import Waiver
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings

PAST = Waiver(code="VC009", severity="off", reason="no GPU yet", expires=date(2026, 1, 31), is_expired=True)
PRESENT = Waiver(code="VC010", severity="note", reason="known", expires=date(2099, 1, 31))


def test_expired_entry_is_a_warning_with_its_reason_and_file() -> None:
    settings = AppliedSettings(file="/w/pyproject.toml", policy_lines={"VC009": 7})
    (finding,) = findings_of(check, examination(planned={"waivers": (PAST, PRESENT), "settings": settings}))
    assert (finding.id, finding.severity, finding.path) == ("VC029", Severity.WARNING, "/w/pyproject.toml")
    assert finding.line == 7
    assert finding.message == "the policy on VC009 expired on 2026-01-31"
    assert "it silenced it, because: no GPU yet" in finding.evidence


def test_entry_that_counts_is_no_finding() -> None:
    assert findings_of(check, examination(planned={"waivers": (PRESENT,)})) == []
