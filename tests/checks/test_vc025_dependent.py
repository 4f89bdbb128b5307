"""Packages that build upon the stack, and do not fit it."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import GOOD, examination
from vc2doctor.checks import vc025_dependent as check
from vc2doctor.findings import Severity
from vc2doctor.linter.dependents import DependentConflict

CONFLICT = DependentConflict(
    distribution="my-trainer",
    version="1.2.0",
    package="transformers",
    installed="4.53.1",
    description="does not have transformers.trainer.X: 4.53.0 removed it",
    works_with=">=4.34.0,<=4.52.4",
    path="my_trainer/trainer.py",
    line=8,
)


def test_a_conflict_is_a_warning_with_a_change_that_keeps_the_rest_working() -> None:
    versions = {**GOOD, "transformers": "4.53.1", "peft": "0.16.0"}
    other = CONFLICT.model_copy(update={"line": 9})
    judged = examination(versions).model_copy(update={"dependents": (CONFLICT, other)})
    (finding,) = findings_of(check, judged)
    assert finding.severity is Severity.WARNING
    assert finding.message == (
        "my-trainer 1.2.0 does not work with transformers 4.53.1,"
        " which does not have transformers.trainer.X: 4.53.0 removed it"
    )
    assert "and 1 more places" in finding.evidence
    assert any(command.endswith("transformers==4.52.4") for command in finding.commands)
    assert "install a release of my-trainer that was made for transformers 4.53.1" in finding.remedy


def test_without_a_conflict_there_is_no_finding() -> None:
    assert findings_of(check, examination(GOOD)) == []


def test_a_conflict_that_the_code_meets_is_an_error_and_comes_first() -> None:
    versions = {**GOOD, "transformers": "4.53.1", "peft": "0.16.0"}
    later = CONFLICT.model_copy(update={"line": 9, "owner": "MyTrainer"})
    judged = examination(versions).model_copy(
        update={"dependents": (CONFLICT, later), "imported": frozenset({"my_trainer:MyTrainer"})}
    )
    (finding,) = findings_of(check, judged)
    assert (finding.severity, finding.line) == (Severity.ERROR, 9)
    assert "your code imports MyTrainer" in finding.evidence
