"""Packages of the stack that are not installed."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import GOOD, distribution, environment, examination
from vc2doctor.checks import vc001_missing
from vc2doctor.environment.model import Module
from vc2doctor.findings import Severity


def test_nothing_is_missing() -> None:
    assert found_by(vc001_missing, examination()) == []


def test_what_is_missing_is_named_and_a_measured_set_is_prescribed() -> None:
    (finding,) = found_by(vc001_missing, examination({"numpy": "2.4.6"}))
    assert finding.severity is Severity.ERROR
    assert finding.message == "torch, transformers, peft are not installed"
    assert finding.commands[0].startswith("/env/bin/python -m pip install torch==2.13.0 transformers==")


def test_only_peft_is_missing() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.40.1", "numpy": "2.4.6", "accelerate": "1.15.0"}
    (finding,) = found_by(vc001_missing, examination(versions))
    assert finding.message == "peft is not installed"
    assert finding.commands[0] == "/env/bin/python -m pip install peft==0.10.0"


def test_a_version_that_cannot_be_read_counts_as_missing() -> None:
    distributions = (*environment().distributions[:2], distribution("peft", "unknown"))
    (finding,) = found_by(vc001_missing, examination(distributions=distributions))
    assert finding.message == "peft is not installed"


def test_a_module_left_behind_is_told() -> None:
    left = Module(name="peft", origin=None, found=True)
    versions = {name: version for name, version in GOOD.items() if name != "peft"}
    (finding,) = found_by(vc001_missing, examination(versions, modules=(left,)))
    assert "a module peft without distribution is at a folder on the path" in finding.evidence
