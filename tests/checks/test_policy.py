"""What a team decides about findings: pure functions."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vc2doctor.checks import policy
from vc2doctor.checks.policy import Entries, PolicyEntry, Waiver
from vc2doctor.findings import Finding, ManifestLine, Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
LATER = date(2030, 1, 1)
MOMENT = datetime(2030, 1, 1, tzinfo=timezone.utc)


def finding(id_: str, severity: Severity = ERROR, **fields: Any) -> Finding:  # noqa: ANN401
    defaults: dict[str, Any] = {"message": id_, "evidence": (), "remedy": "x", "url": "https://example.org"}
    return Finding(id=id_, severity=severity, **{**defaults, **fields})


def waiver(code: str, severity: Any, **fields: Any) -> Waiver:  # noqa: ANN401
    return Waiver(**{"code": code, "severity": severity, "reason": "because", "expires": LATER, **fields})


def decided(findings: list[Finding], *waivers: Waiver, baseline: tuple[str, ...] = ()) -> list[tuple[str, Severity]]:
    names = [f"print-{each.id}" for each in findings]
    kept, _ = policy.apply(findings, names, waivers, frozenset(baseline))
    return [(each.id, each.severity) for each in kept]


def test_findings_are_raised_lowered_and_silenced_by_their_code() -> None:
    findings = [finding("VC001"), finding("VC101"), finding("VC009", NOTE), finding("VC010", WARNING)]
    waivers = (waiver("VC001", "warning"), waiver("VC101", "off"), waiver("VC009", "error"))
    assert decided(findings, *waivers) == [("VC009", ERROR), ("VC001", WARNING), ("VC010", WARNING)]


def test_expired_entry_does_not_count() -> None:
    assert decided([finding("VC001")], waiver("VC001", "off", is_expired=True)) == [("VC001", ERROR)]


def test_baseline_removes_findings_by_fingerprint_but_not_those_on_expired_entries() -> None:
    findings = [finding("VC001"), finding("VC101"), finding("VC029", WARNING)]
    assert decided(findings, baseline=("print-VC101", "print-VC029")) == [("VC001", ERROR), ("VC029", WARNING)]


def test_what_was_lowered_silenced_or_known_is_listed_with_its_reason() -> None:
    findings = [finding("VC001", path="a.py", line=3), finding("VC101"), finding("VC102"), finding("VC009", NOTE)]
    waivers = (waiver("VC001", "off"), waiver("VC102", "note"), waiver("VC009", "error"))
    known = frozenset({"VC101"})
    _, waived = policy.apply(findings, [each.id for each in findings], waivers, known)
    assert [(each.id, each.became, each.severity) for each in waived] == [
        ("VC001", "off", ERROR),
        ("VC101", "baseline", ERROR),
        ("VC102", "note", ERROR),
    ]
    assert (waived[0].place, waived[0].reason, waived[0].expires) == ("a.py:3", "because", LATER)


@pytest.mark.parametrize(
    ("fields", "place"), [({}, None), ({"path": "a.py"}, "a.py"), ({"line": 3}, None), ({"path": "", "line": 3}, "")]
)
def test_place_of_a_waived_finding_is_as_exact_as_the_finding(fields: dict[str, Any], place: str | None) -> None:
    _, (waived,) = policy.apply([finding("VC001", **fields)], ["x"], (waiver("VC001", "off"),), frozenset())
    assert waived.place == place


def test_a_silenced_finding_keeps_its_place_so_that_reports_for_machines_still_mark_the_line() -> None:
    manifest = ManifestLine(path="requirements.txt", line=4)
    silenced = finding("VC001", path="a.py", line=3, manifest=manifest, url="https://example.org/VC001")
    _, (waived,) = policy.apply([silenced], ["x"], (waiver("VC001", "off"),), frozenset())
    assert (waived.path, waived.line, waived.manifest) == ("a.py", 3, manifest)
    assert waived.url == "https://example.org/VC001"


def test_entry_that_changes_nothing_is_not_listed() -> None:
    kept, waived = policy.apply([finding("VC001")], ["x"], (waiver("VC001", "error"),), frozenset())
    assert ([each.severity for each in kept], waived) == ([ERROR], ())


def test_every_finding_needs_a_fingerprint() -> None:
    with pytest.raises(ValueError, match="shorter"):
        policy.apply([finding("VC001"), finding("VC002")], ["x"], (), frozenset())


@pytest.mark.parametrize(("day", "expired"), [(date(2029, 12, 31), False), (LATER, False), (date(2030, 1, 2), True)])
def test_an_entry_counts_to_the_end_of_its_last_day(day: date, *, expired: bool) -> None:
    entries = {"VC001": PolicyEntry(severity="off", reason="x", expires=LATER)}
    assert [each.is_expired for each in policy.on(day, entries)] == [expired]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"VC001": {"severity": "off", "reason": "x"}}, "needs a date"),
        ({"VC001": {"severity": "note", "reason": "x"}}, "needs a date"),
        ({"VC001": {"severity": "error"}}, "Field required"),
        ({"VC001": {"severity": "error", "reason": ""}}, "at least 1 character"),
        ({"VC001": {"severity": "fatal", "reason": "x"}}, "Input should be"),
        ({"VC001": {"severity": "off", "reason": "x", "expires": "soon"}}, "must be a day"),
        ({"VC001": {"severity": "off", "reason": "x", "expires": 86400}}, "must be a day"),
        (
            {"VC001": {"severity": "off", "reason": "x", "expires": datetime(2030, 1, 1, tzinfo=timezone.utc)}},
            "must be a day",
        ),
        ({"VC001": {"severity": "error", "reason": " \t"}}, "at least 1 character"),
        ({"VC001": {"severity": "error", "reason": "x" * 501}}, "at most 500 characters"),
        ({"VC001": {"severity": "off", "reason": "x", "expires": LATER, "until": LATER}}, "Extra inputs"),
        ({"VC1": {"severity": "error", "reason": "x"}}, "must be the id of a check or of a rule"),
        ({"VC029": {"severity": "error", "reason": "x"}}, "no entry can be about it"),
    ],
)
def test_wrong_entries_are_refused(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Entries).validate_python(entries)


def test_the_last_day_can_be_a_text_and_the_reason_is_stripped() -> None:
    entry = PolicyEntry.model_validate({"severity": "off", "reason": f" {'x' * 500}\n", "expires": "2030-01-01"})
    assert (entry.expires, entry.reason) == (LATER, "x" * 500)


def test_an_entry_that_only_raises_needs_no_end() -> None:
    assert PolicyEntry(severity="error", reason="x").only_raises
