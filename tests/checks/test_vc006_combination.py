"""The matrix's verdict as a finding."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import cell, examination, matrix, probe_run, recipe, step
from vc2doctor.checks import vc006_combination as check
from vc2doctor.findings import Severity

BAD = matrix(
    cell("2.13.0", "4.40.1", "0.13.0", recipes={"fp32": "error", "bf16": "error"}),
    cell("2.13.0", "4.40.1", "0.10.0"),
)


def test_what_is_known_to_train_needs_no_word() -> None:
    assert found_by(check, examination(matrix=matrix(cell("2.13.0", "4.40.1", "0.13.0")))) == []


def test_measured_to_fail_and_not_probed() -> None:
    (finding,) = found_by(check, examination(matrix=BAD))
    assert finding.severity is Severity.ERROR
    assert finding.commands == ("/env/bin/python -m pip install peft==0.10.0",)


def test_measured_to_fail_elsewhere_and_training_here() -> None:
    (finding,) = found_by(check, examination(matrix=BAD, probe=probe_run()))
    assert finding.severity is Severity.WARNING


def test_what_the_probe_saw_fail_is_told_by_the_probe() -> None:
    bad = probe_run(recipe("bf16", steps=(step(0, None),)))
    assert found_by(check, examination(matrix=BAD, probe=bad)) == []


def test_no_ground_and_no_probe() -> None:
    (finding,) = found_by(check, examination(matrix=matrix()))
    assert finding.severity is Severity.WARNING
    assert finding.evidence == ("The matrix holds no measurement",)


def test_no_ground_but_it_trained_here() -> None:
    assert found_by(check, examination(matrix=matrix(), probe=probe_run())) == []


def test_a_known_issue_tells_it_already() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}
    assert found_by(check, examination(versions)) == []


def test_a_constraint_of_the_shipped_matrix_is_told_with_its_measured_ends() -> None:
    versions = {"torch": "2.1.2", "transformers": "5.0.0", "peft": "0.21.2", "numpy": "1.26.4", "accelerate": "1.15.0"}
    (finding,) = found_by(check, examination(versions))
    assert finding.severity is Severity.ERROR
    assert "requires the PyTorch library" in finding.evidence[0]
    assert any("pip install torch==" in command for command in finding.commands)
