"""Metadata that disagrees with the imported module."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import environment, examination, probe_run
from vc2doctor.checks import vc016_lying_metadata as check
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import ImportedPackage


def findings(version: str, package: str = "torch") -> list[Finding]:
    imported = ImportedPackage(package=package, version=version, file="/elsewhere/torch/__init__.py", seconds=1.0)
    return findings_of(check, examination(probe=probe_run(imports=(imported,))))


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.13.0", "2.13.0+cu128", "2.13.0.dev0"])
def test_builds_of_the_same_release_agree(version: str) -> None:
    assert findings(version) == []


def test_editable_checkout_with_another_version_is_a_note() -> None:
    distributions = tuple(
        distribution.model_copy(update={"editable": True}) if distribution.name == "peft" else distribution
        for distribution in environment().distributions
    )
    imported = ImportedPackage(package="peft", version="0.22.0.dev0", file="/src/peft/__init__.py", seconds=1.0)
    probe = probe_run(imports=(imported,))
    (finding,) = findings_of(check, examination(distributions=distributions, probe=probe))
    assert finding.severity is Severity.NOTE


@pytest.mark.parametrize("version", ["2.5.1", "unknown"])
def test_other_imported_version_is_named(version: str) -> None:
    (finding,) = findings(version)
    assert finding.message == f"torch 2.13.0+cpu is installed, but {version} is imported"
    assert finding.evidence == ("imported from /elsewhere/torch/__init__.py",)
