"""A target that did not say what is installed."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import examination
from vc2doctor import checks
from vc2doctor.checks import vc024_not_described, verdict
from vc2doctor.environment.model import ObservationFailure
from vc2doctor.findings import Finding, Severity

HUNG = ObservationFailure(ending="timeout", seconds=60.2, starts_without_site=True, output=("first", "last"))


def finding(failure: ObservationFailure) -> Finding:
    (found,) = findings_of(vc024_not_described, examination({}, failure=failure))
    return found


def test_nothing_is_reported_when_the_facts_are_there() -> None:
    assert findings_of(vc024_not_described, examination()) == []


def test_finding_says_what_was_seen_and_what_to_do() -> None:
    found = finding(HUNG)
    assert found.message == "this Python did not say what is installed: it gave no answer in 60 s"
    assert found.evidence[1] == "the end of its output:\nfirst\nlast"
    assert "sitecustomize or a .pth file" in found.remedy
    assert "--timeout" in found.remedy
    assert found.commands == ("/env/bin/python -X faulthandler -X importtime -c pass",)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ending": "exit", "code": 7}, "it ended early with exit code 7"),
        ({"ending": "signal", "signal": "SIGSEGV"}, "it was killed by SIGSEGV"),
        ({"ending": "flood"}, "it wrote more than the doctor accepts"),
        ({"ending": "unreadable", "problem": "its answer cannot be read: KeyError"}, "its answer cannot be read"),
    ],
)
def test_every_ending_has_its_words(fields: dict[str, object], words: str) -> None:
    found = finding(ObservationFailure.model_validate({"seconds": 0.5, **fields}))
    assert words in found.message
    assert "--timeout" not in found.remedy
    assert ".pth" not in found.remedy


def test_only_this_is_reported_and_the_verdict_is_open() -> None:
    examined = examination({}, failure=HUNG)
    findings = checks.run(examined)
    assert [found.id for found in findings] == ["VC024"]
    final = verdict.final_verdict(examined, findings)
    assert (final, verdict.exit_code(final, findings, Severity.ERROR)) == ("incomplete", 3)
    assert examined.version_plan.commands == ()
