"""Pins of the profile."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import examination
from vc2doctor.checks import vc015_pins as check
from vc2doctor.findings import Severity


def test_only_where_the_profile_was_named() -> None:
    assert found_by(check, examination()) == []


def test_differences_are_listed() -> None:
    (finding,) = found_by(check, examination(explicit_profile=True))
    assert finding.severity is Severity.NOTE
    assert "torch 2.13.0+cpu is installed, ==1.13.1 is pinned" in finding.evidence
    assert "transformers" not in " ".join(finding.evidence)
    assert "'torch==1.13.1'" not in finding.commands[0]
    assert "torch==1.13.1" in finding.commands[0]


def test_the_pinned_versions_with_a_local_part_are_the_pinned_versions() -> None:
    versions = {"torch": "1.13.1+cu117", "transformers": "4.40.1", "peft": "0.4.0"}
    assert found_by(check, examination(versions, explicit_profile=True)) == []
