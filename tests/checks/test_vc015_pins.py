"""Pins of the profile."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import examination
from vc2doctor.checks import vc015_pins as check
from vc2doctor.findings import Severity


def test_pins_of_the_default_profile_are_not_compared() -> None:
    assert findings_of(check, examination()) == []


def test_versions_that_differ_from_the_pins_are_listed() -> None:
    (finding,) = findings_of(check, examination(explicit_profile=True))
    assert finding.severity is Severity.NOTE
    assert "torch 2.13.0+cpu is installed, ==1.13.1 is pinned" in finding.evidence
    assert "transformers" not in " ".join(finding.evidence)
    assert "'torch==1.13.1'" not in finding.commands[0]
    assert "torch==1.13.1" in finding.commands[0]


def test_local_part_of_a_version_does_not_differ_from_the_pin() -> None:
    versions = {"torch": "1.13.1+cu117", "transformers": "4.40.1", "peft": "0.4.0"}
    assert findings_of(check, examination(versions, explicit_profile=True)) == []
