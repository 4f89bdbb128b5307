"""Metadata that lies."""

from __future__ import annotations

import pytest

from tests.checks import found_by
from tests.facts import environment, examination, probe_run
from vc2doctor.checks import vc016_lying_metadata as check
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import ImportedPackage


def found(version: str, package: str = "torch") -> list[Finding]:
    imported = ImportedPackage(package=package, version=version, file="/elsewhere/torch/__init__.py", seconds=1.0)
    return found_by(check, examination(probe=probe_run(imports=(imported,))))


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.13.0", "2.13.0+cu128", "2.13.0.dev0"])
def test_the_same_release(version: str) -> None:
    assert found(version) == []


def test_an_editable_checkout_that_moved_on_is_a_note() -> None:
    distributions = tuple(
        made.model_copy(update={"editable": True}) if made.name == "peft" else made
        for made in environment().distributions
    )
    imported = ImportedPackage(package="peft", version="0.22.0.dev0", file="/src/peft/__init__.py", seconds=1.0)
    probe = probe_run(imports=(imported,))
    (finding,) = found_by(check, examination(distributions=distributions, probe=probe))
    assert finding.severity is Severity.NOTE


@pytest.mark.parametrize("version", ["2.5.1", "unknown"])
def test_another(version: str) -> None:
    (finding,) = found(version)
    assert finding.message == f"torch 2.13.0+cpu is installed, and {version} is imported"
    assert finding.evidence == ("imported from /elsewhere/torch/__init__.py",)
