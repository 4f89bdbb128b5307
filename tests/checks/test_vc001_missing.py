"""Packages of the stack that are not installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import findings_of
from tests.facts import GOOD, distribution, environment, examination
from vc2doctor import checks
from vc2doctor.checks import vc001_missing, verdict
from vc2doctor.checks.plan import AskedVersion
from vc2doctor.environment.model import Module, TargetChoice
from vc2doctor.findings import Severity


def test_complete_stack_has_no_finding() -> None:
    assert findings_of(vc001_missing, examination()) == []


def test_missing_packages_are_named_and_a_measured_set_is_the_remedy() -> None:
    (finding,) = findings_of(vc001_missing, examination({"numpy": "2.4.6"}))
    assert finding.severity is Severity.ERROR
    assert finding.message == "torch, transformers and peft are not installed"
    assert finding.commands[0].startswith("/env/bin/python -m pip install torch==2.13.0 transformers==")
    assert "The matrix calls the result verified: Cell " in finding.remedy


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


OWN = TargetChoice(python="/env/bin/python", origin="own", reason="the doctor's own environment", tool="uvx")


def test_doctors_own_environment_gets_no_package_and_the_command_that_examines_another() -> None:
    examined = examination({"numpy": "2.4.6"}, choice=OWN.model_copy(update={"others": (".venv", "my env")}))
    findings = checks.run(examined)
    assert [finding.id for finding in findings] == ["VC001"], "no other check judges it"
    assert findings[0].message == "no environment was chosen, so none was examined"
    assert findings[0].commands == ("vc2doctor check --python .venv", "vc2doctor check --python 'my env'")
    assert verdict.final_verdict(examined, findings) == "incomplete"
    assert verdict.exit_code("incomplete", findings, Severity.ERROR) == 3


def test_environment_that_a_tool_made_gets_no_single_package_either() -> None:
    versions = {name: version for name, version in GOOD.items() if name != "peft"}
    (finding,) = checks.run(examination(versions, choice=OWN))
    assert finding.message == "no environment was chosen, so none was examined"
    assert finding.commands == ("vc2doctor check --python .venv",)
    plain = OWN.model_copy(update={"tool": None})
    (missing,) = findings_of(vc001_missing, examination(versions, choice=plain))
    assert missing.message == "peft is not installed", (
        "an environment of nobody's making with some of the stack is the user's"
    )


def test_command_that_starts_the_doctors_own_python_is_told_what_to_write() -> None:
    starts = OWN.model_copy(update={"by_command": True, "others": (".venv",)})
    (finding,) = checks.run(examination({}, choice=starts))
    assert finding.commands == (), "nothing is installed into the doctor's environment"
    assert "write its interpreter into the command, such as .venv/bin/python" in finding.remedy


def test_one_sentence_names_all_that_is_missing() -> None:
    (finding,) = findings_of(vc001_missing, examination({}))
    assert finding.message == "torch, transformers and peft are not installed"
    assert finding.evidence == ("looked in /env/bin/python",)


@pytest.mark.parametrize("chosen", [{"origin": "VIRTUAL_ENV"}, {"is_project": True}, {"origin": "named"}])
def test_environment_that_was_chosen_is_examined_even_if_it_has_nothing(chosen: dict[str, Any]) -> None:
    (finding,) = findings_of(vc001_missing, examination({}, choice=OWN.model_copy(update={"tool": None, **chosen})))
    assert finding.message == "torch, transformers and peft are not installed"


def test_versions_that_the_project_asks_for_are_evidence_and_the_remedy_follows_them() -> None:
    asked = {
        name: AskedVersion(specifier=f"=={text}", location=f"requirements.txt:{line}")
        for line, (name, text) in enumerate({"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}.items(), 1)
    }
    examined = examination({"setuptools": "65.5.0"}).model_copy(update={"asked": asked})
    (finding,) = findings_of(vc001_missing, examined)
    assert finding.evidence[-3:] == (
        "requirements.txt:1 asks for torch==2.13.0",
        "requirements.txt:2 asks for transformers==5.23.0",
        "requirements.txt:3 asks for peft==0.21.2",
    )
    assert finding.commands[0].endswith(" install torch==2.13.0 transformers==5.23.0 peft==0.21.2")


def test_versions_that_cannot_be_followed_are_said() -> None:
    asked = {"peft": AskedVersion(specifier="==0.0.1", location="requirements.txt:7")}
    (finding,) = findings_of(vc001_missing, examination({}).model_copy(update={"asked": asked}))
    assert finding.evidence[-2:] == (
        "requirements.txt:7 asks for peft==0.0.1",
        "no set of versions that meets all of this is known to train here",
    )


WITHOUT_PEFT = {name: text for name, text in GOOD.items() if name != "peft"}


def test_peft_is_no_error_where_the_code_never_mentions_adapters() -> None:
    unneeded = examination(WITHOUT_PEFT, planned={"adapters": False})
    assert unneeded.can_train
    (finding,) = findings_of(vc001_missing, unneeded)
    assert finding.severity is Severity.NOTE
    assert finding.message.endswith("your code never mentions adapters, so none was tried")
    # Nothing shows that it trains before a probe did, so it is not fit either.
    assert verdict.final_verdict(unneeded, [finding]) == "unproven"
    (finding,) = findings_of(vc001_missing, examination(WITHOUT_PEFT))
    assert finding.severity is Severity.ERROR
    both = examination({"torch": GOOD["torch"]}, planned={"adapters": False})
    assert not both.can_train
    (finding,) = findings_of(vc001_missing, both)
    assert finding.severity is Severity.ERROR
