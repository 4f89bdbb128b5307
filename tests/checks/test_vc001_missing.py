"""Packages of the stack that are not installed."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import GOOD, distribution, environment, examination
from vc2doctor.checks import vc001_missing
from vc2doctor.environment.model import Module
from vc2doctor.findings import Severity


def test_complete_stack_has_no_finding() -> None:
    assert findings_of(vc001_missing, examination()) == []


def test_missing_packages_are_named_and_a_measured_set_is_the_remedy() -> None:
    (finding,) = findings_of(vc001_missing, examination({"numpy": "2.4.6"}))
    assert finding.severity is Severity.ERROR
    assert finding.message == "torch, transformers, peft are not installed"
    assert finding.commands[0].startswith("/env/bin/python -m pip install torch==2.13.0 transformers==")


def test_if_only_peft_is_missing_only_peft_is_installed() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.40.1", "numpy": "2.4.6", "accelerate": "1.15.0"}
    (finding,) = findings_of(vc001_missing, examination(versions))
    assert finding.message == "peft is not installed"
    assert finding.commands[0] == "/env/bin/python -m pip install peft==0.13.2"


def test_package_whose_version_cannot_be_read_counts_as_missing() -> None:
    distributions = (*environment().distributions[:2], distribution("peft", "unknown"))
    (finding,) = findings_of(vc001_missing, examination(distributions=distributions))
    assert finding.message == "peft is not installed"


def test_module_without_distribution_is_evidence() -> None:
    orphan = Module(name="peft", origin=None, found=True)
    versions = {name: version for name, version in GOOD.items() if name != "peft"}
    (finding,) = findings_of(vc001_missing, examination(versions, modules=(orphan,)))
    assert "there is a module peft at a folder on the import path, but no distribution owns it" in finding.evidence
