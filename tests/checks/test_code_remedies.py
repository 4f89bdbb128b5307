"""The command for a finding in the code that another release fixes."""

from __future__ import annotations

from tests.facts import GOOD, examination
from vc2doctor.checks.code_remedies import with_commands
from vc2doctor.findings import Finding, Severity, WantedRelease

FINDING = Finding(
    id="VC118", severity=Severity.ERROR, message="m", evidence=(), remedy="old", url="https://example.org"
)
VERSIONS = {**GOOD, "transformers": "4.45.2", "peft": "0.13.2", "trl": "0.15.2"}


def judged(*wanted: WantedRelease, versions: dict[str, str] = VERSIONS) -> list[Finding]:
    code = tuple(FINDING.model_copy(update={"wanted": each, "line": number}) for number, each in enumerate(wanted, 1))
    return list(with_commands(examination(versions).model_copy(update={"code": code})))


def test_a_release_that_works_with_the_rest_is_installed_by_one_command() -> None:
    (finding,) = judged(WantedRelease("trl", "<=0.12.2", ""))
    assert len(finding.commands) == 1
    assert "trl==0.1" in finding.commands[0]
    assert finding.remedy.endswith("Or change the code.")


def test_a_change_of_the_code_comes_first_and_prints_no_command() -> None:
    (finding,) = judged(WantedRelease("trl", "<=0.12.2", "Write `max_length=`"))
    assert finding.commands == ()
    assert finding.remedy.startswith("Write `max_length=`. Or change trl from 0.15.2 to ")


def test_a_release_that_fails_with_the_installed_stack_is_not_advised() -> None:
    """Trl before 0.15 fails with transformers 5, although it does not say so."""
    versions = {**GOOD, "transformers": "5.9.0", "peft": "0.19.1", "trl": "1.4.0"}
    (finding,) = judged(WantedRelease("trl", "<=0.12.2", ""), versions=versions)
    assert all("transformers==" in command for command in finding.commands)
    (finding,) = judged(WantedRelease("trl", "<=0.12.2", "Leave it out"), versions=versions)
    assert finding.commands == ()


def test_findings_about_one_package_share_a_release_that_fixes_all() -> None:
    first, second = judged(WantedRelease("trl", "<=0.12.2", ""), WantedRelease("trl", "<=0.9.6", ""))
    assert first.commands == second.commands


def test_other_findings_stay_as_they_are() -> None:
    facts = examination(VERSIONS).model_copy(update={"code": (FINDING,)})
    assert list(with_commands(facts)) == [FINDING]
    (finding,) = judged(WantedRelease("trl", "<=0.12.2", ""), versions=GOOD)
    assert finding.remedy == "old"
