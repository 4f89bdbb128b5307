"""The finding that decides, and the one command."""

from __future__ import annotations

from typing import Any

from tests.facts import MISSING_SYMBOL, child, examination, failed, failure, probe_run, recipe
from vc2doctor import checks
from vc2doctor.checks import verdict
from vc2doctor.checks.answer import Answer, answer
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.target.shared.recipes import RECIPES

VERIFIED = {"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0", "numpy": "2.4.6"}


def answer_of(examined: Examination) -> Answer:
    findings = checks.run(examined)
    final_verdict = verdict.final_verdict(examined, findings)
    code = verdict.exit_code(final_verdict, findings, examined.plan.fail_on)
    return answer(final_verdict, findings, code, examined.plan)


def id_of(**fields: Any) -> str | None:  # noqa: ANN401
    finding = answer_of(examination(**fields)).finding
    return finding.id if finding else None


def test_fit_environment_needs_no_command() -> None:
    assert answer_of(examination(probe=probe_run())) == Answer(finding=None, command=None)


def test_broken_environment_has_one_command() -> None:
    probe = probe_run(recipes=(), adapter=None, import_package="peft", import_failure=MISSING_SYMBOL)
    broken = answer_of(examination({**VERIFIED, "transformers": "4.36.2", "peft": "0.17.0"}, probe=probe))
    assert broken.finding is not None
    assert (broken.finding.id, broken.command) == ("VC005", broken.finding.commands[0])


def test_first_error_decides_and_not_the_end_of_the_probe() -> None:
    ended = {"ending": "timeout", "child": child(ending="timeout")}
    assert id_of(probe=probe_run(failed("fp32", failure()), **ended)) == "VC010"
    assert id_of(probe=probe_run(**ended)) == "VC011"


def test_fit_without_a_probe_leads_to_the_probe() -> None:
    tried = answer_of(examination(VERIFIED, planned={"probe": False}))
    assert tried.finding is not None
    assert (tried.finding.id, tried.command) == ("VC014", "vc2doctor check --probe")


def test_unproven_recipe_leads_to_the_machine_that_trains() -> None:
    unsupported = probe_run(recipe("fp16-scaled", steps=(), unsupported="no GradScaler for the CPU"))
    open_case = answer_of(examination(probe=unsupported, planned={"precision": "fp16-scaled"}))
    assert open_case.command == "vc2doctor check --require gpu"


def test_warning_decides_if_the_user_wants_it_to_fail() -> None:
    assert id_of(probe=probe_run(), planned={"fail_on": "warning"}) == "VC009"


def test_fault_of_the_users_function_is_fixed_by_hand_first() -> None:
    runs = [failed(name, failure(file="mymodel.py")) for name in RECIPES]
    broken = answer_of(examination(probe=probe_run(*runs), planned={"entry": "mymodel:build"}))
    assert broken.command is None
    assert broken.finding is not None
    assert broken.finding.commands == (), "the command that was just typed fixes nothing"


def test_unfinished_examination_says_why_and_not_what_it_found_before() -> None:
    findings = [finding("VC001"), finding("VC024"), finding("VC011")]
    assert decided("incomplete", findings) == "VC024"
    assert decided("incomplete", findings[:1]) is None


def test_error_decides_before_everything_lighter() -> None:
    findings = [finding("VC011"), finding("VC005"), finding("VC009", Severity.WARNING)]
    assert decided("unfit", findings) == "VC005"
    assert decided("unfit", findings[:1]) == "VC011"
    assert decided("unfit", findings[2:], exit_code=0) is None


def test_most_specific_finding_says_why_nothing_is_proven() -> None:
    findings = [finding(id_, Severity.NOTE) for id_ in ("VC014", "VC006", "VC010")]
    assert decided("unproven", findings) == "VC010"
    assert decided("unproven", findings[:2]) == "VC006"
    assert decided("unproven", [finding("VC009", Severity.WARNING)]) is None


def test_exit_code_is_explained_by_the_first_finding_that_is_heavy_enough() -> None:
    findings = [finding("VC014", Severity.NOTE), finding("VC009", Severity.WARNING), finding("VC010", Severity.WARNING)]
    assert decided("fit", findings, fail_on=Severity.WARNING) == "VC009"
    assert decided("fit", findings[:1], fail_on=Severity.WARNING) is None


def finding(id_: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(id=id_, severity=severity, message=id_, evidence=(), remedy="x", url="https://example.org")


def decided(
    final_verdict: verdict.FinalVerdict,
    findings: list[Finding],
    exit_code: int = 1,
    fail_on: Severity = Severity.ERROR,
) -> str | None:
    plan = examination().plan.model_copy(update={"fail_on": fail_on})
    decisive = answer(final_verdict, findings, exit_code, plan).finding
    return decisive.id if decisive else None
