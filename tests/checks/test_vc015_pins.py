"""Pins of the profile."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import examination, interpreter
from vc2doctor.checks import vc015_pins as check
from vc2doctor.findings import Severity


def test_pins_of_the_default_profile_are_not_compared() -> None:
    assert findings_of(check, examination()) == []


def test_versions_that_differ_from_the_pins_are_listed() -> None:
    (finding,) = findings_of(check, examination(explicit_profile=True))
    assert finding.severity is Severity.NOTE
    assert "torch 2.13.0+cpu is installed, ==1.13.1 is pinned" in finding.evidence
    assert "transformers" not in " ".join(finding.evidence)
    assert finding.commands == ("/env/bin/python -m pip install torch==1.13.1 peft==0.4.0 numpy==1.24.4",)


def test_pins_that_do_not_work_here_have_no_command() -> None:
    # No wheel of torch 1.13.1 is for Python 3.12.
    planned = examination(explicit_profile=True, interpreter=interpreter(version="3.12.1"))
    (finding,) = findings_of(check, planned)
    assert finding.commands == ()
    assert "not known to work with the other packages and the Python of this one" in finding.remedy


def test_local_part_of_a_version_does_not_differ_from_the_pin() -> None:
    versions = {"torch": "1.13.1+cu117", "transformers": "4.40.1", "peft": "0.4.0"}
    assert findings_of(check, examination(versions, explicit_profile=True)) == []
