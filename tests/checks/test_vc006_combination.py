"""The matrix's verdict as a finding."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import GOOD, cell, examination, matrix, probe_run, recipe, step
from vc2doctor.checks import vc006_combination as check
from vc2doctor.findings import Severity

STACK = "torch 2.13.0+cpu, transformers 4.40.1, peft 0.13.0"
BAD = matrix(
    cell("2.13.0", "4.40.1", "0.13.0", recipes={"fp32": "error", "bf16": "error"}),
    cell("2.13.0", "4.40.1", "0.10.0"),
)


def test_combination_known_to_train_has_no_finding() -> None:
    assert findings_of(check, examination(matrix=matrix(cell("2.13.0", "4.40.1", "0.13.0")))) == []


def test_combination_measured_to_fail_is_an_error_without_probe() -> None:
    (finding,) = findings_of(check, examination(matrix=BAD))
    assert finding.severity is Severity.ERROR
    assert finding.message == f"{STACK} do not train together under bf16"
    assert "the probe trained here nevertheless" not in finding.evidence
    assert finding.packages == ("peft", "transformers", "torch"), "peft is the easiest one to change"
    assert finding.commands == ("/env/bin/python -m pip install peft==0.10.0",)


def test_combination_measured_to_fail_is_a_warning_if_the_probe_trained() -> None:
    (finding,) = findings_of(check, examination(matrix=BAD, probe=probe_run()))
    assert finding.severity is Severity.WARNING
    assert "the probe trained here nevertheless" in finding.evidence


def test_failure_that_the_probe_saw_is_left_to_other_checks() -> None:
    failing_probe = probe_run(recipe("bf16", steps=(step(0, None),)))
    assert findings_of(check, examination(matrix=BAD, probe=failing_probe)) == []


def test_unverified_combination_is_a_warning_without_probe() -> None:
    (finding,) = findings_of(check, examination(matrix=matrix()))
    assert finding.severity is Severity.WARNING
    assert finding.message == f"the matrix cannot say whether {STACK} train together"
    assert finding.evidence == ("The matrix holds no measurement",)
    assert finding.packages == ("peft", "transformers", "torch")
    assert finding.remedy == "Let the doctor train a few steps with these versions."
    assert finding.commands == ("vc2doctor check",)


def test_unverified_combination_is_probed_or_changed_to_versions_that_are_known() -> None:
    (finding,) = findings_of(check, examination({**GOOD, "torch": "2.16.0"}, planned={"probe": False}))
    assert finding.remedy.startswith(
        "Let the doctor train a few steps with these versions. Or change torch from 2.16.0 "
    )
    first, *others = finding.commands
    assert first == "vc2doctor check --probe"
    assert others
    assert all("pip install" in command for command in others)


def test_unverified_combination_that_trained_here_has_no_finding() -> None:
    assert findings_of(check, examination(matrix=matrix(), probe=probe_run())) == []


def test_combination_with_a_known_issue_is_left_to_vc005() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}
    assert findings_of(check, examination(versions)) == []


def test_constraint_of_the_shipped_matrix_is_reported_with_a_measured_remedy() -> None:
    versions = {"torch": "2.1.2", "transformers": "5.0.0", "peft": "0.21.2", "numpy": "1.26.4", "accelerate": "1.15.0"}
    (finding,) = findings_of(check, examination(versions))
    assert finding.severity is Severity.ERROR
    assert "requires the PyTorch library" in finding.evidence[0]
    assert finding.commands == ("/env/bin/python -m pip install transformers==4.55.4",)
