"""What the project asks for, against what is installed."""

from __future__ import annotations

import pytest

from tests.checks import findings_of
from tests.facts import GOOD, examination, probe_run, recipe
from vc2doctor.checks import vc031_other_versions as check
from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import AskedVersion
from vc2doctor.findings import Finding, Severity


def examined(versions: dict[str, str] | None = None, **specifiers: str) -> Examination:
    """Return an examination of a project that asks for these versions in requirements.txt."""
    asked = {
        name: AskedVersion(specifier=text, location=f"requirements.txt:{line}")
        for line, (name, text) in enumerate(specifiers.items(), 1)
    }
    probe = probe_run(recipe("fp32"), recipe("bf16"))
    return examination(versions or GOOD, probe=probe).model_copy(update={"asked": asked})


def finding(of: Examination) -> Finding:
    (only,) = findings_of(check, of)
    return only


def test_another_version_is_named_with_its_line_and_the_command() -> None:
    transformers, peft = GOOD["transformers"], GOOD["peft"]
    found = finding(examined(transformers=f"=={transformers}", peft="==0.9.0"))
    assert found.message == f"the project asks for other versions: peft==0.9.0 ({peft} is installed)"
    assert found.evidence == ("requirements.txt:2 asks for peft==0.9.0",)
    assert found.commands == ("/env/bin/python -m pip install peft==0.9.0",)
    assert found.packages == ("peft",)


@pytest.mark.parametrize(
    "specifiers", [{}, {"peft": f">={GOOD['peft']}"}, {"torch": f"=={GOOD['torch']}+cu118"}, {"datasets": "==1.0"}]
)
def test_versions_that_are_met_builds_and_other_packages_are_no_finding(specifiers: dict[str, str]) -> None:
    assert findings_of(check, examined(None, **specifiers)) == []


def test_training_that_was_seen_to_work_makes_it_a_note() -> None:
    assert finding(examined(peft="==0.9.0")).severity is Severity.NOTE
    without_probe = examined(peft="==0.9.0").model_copy(update={"probe": None})
    assert finding(without_probe).severity is Severity.WARNING


def test_versions_that_do_not_train_together_are_not_advised() -> None:
    versions = {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}
    found = finding(examined(versions, peft="==0.17.0"))
    assert found.remedy.startswith("Do not install what it asks for: together these versions do not train (peft 0.16")
    assert found.remedy.endswith("Correct requirements.txt:1.")
    assert found.commands == ()


def test_a_package_that_is_missing_is_another_finding() -> None:
    assert findings_of(check, examined({"torch": "2.13.0", "peft": "0.21.2"}, peft="==0.17.0")) == []
