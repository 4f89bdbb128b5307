"""Damaged installations, and packages that are installed twice."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import SITE, distribution, environment, examination, interpreter, probe_run
from vc2doctor.checks import vc003_broken_installation as check
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding, Severity


def findings(*extra: Distribution, has_pip: bool = True) -> list[Finding]:
    distributions = (*environment().distributions, *extra)
    return findings_of(check, examination(distributions=distributions, interpreter=interpreter(has_pip=has_pip)))


def test_intact_installations_have_no_finding() -> None:
    assert findings() == []


def test_damaged_companion_of_the_stack_is_an_error() -> None:
    (finding,) = findings(distribution("tokenizers", "0.19.1", problems=("RECORD cannot be read: x",)))
    assert finding.severity is Severity.ERROR
    assert finding.evidence == ("RECORD cannot be read: x",)
    assert finding.commands == ("/env/bin/python -m pip install --ignore-installed --no-deps tokenizers==0.19.1",)


def test_damage_of_another_package_is_a_warning() -> None:
    (finding,) = findings(distribution("tqdm", None, problems=("METADATA is missing or empty",)))
    assert finding.severity is Severity.WARNING
    assert finding.commands[0].endswith(" tqdm")


def test_damaged_package_is_a_warning_if_the_probe_trained() -> None:
    distributions = (*environment().distributions, distribution("tokenizers", "1", problems=("RECORD is missing",)))
    (finding,) = findings_of(check, examination(distributions=distributions, probe=probe_run()))
    assert finding.severity is Severity.WARNING


def test_two_copies_in_one_folder_are_an_error() -> None:
    (finding,) = findings(distribution("peft", "0.4.0"))
    assert finding.severity is Severity.ERROR
    assert finding.message == "peft is installed twice in one folder, as 0.13.0 and 0.4.0"


def test_copy_that_hides_another_on_the_path_is_a_note() -> None:
    (finding,) = findings(distribution("peft", "0.4.0", path="/usr/lib/python3/peft-0.4.0.dist-info"))
    assert finding.severity is Severity.NOTE
    assert finding.message == "peft 0.13.0 hides peft 0.4.0, which is later on the import path"
    assert f"peft 0.13.0 in {SITE}/peft-0.13.0.dist-info" in finding.evidence


def test_environment_without_pip_gets_a_command_of_uv() -> None:
    (finding,) = findings(distribution("peft", "0.4.0"), has_pip=False)
    assert finding.commands == ("uv pip install --python /env/bin/python --reinstall --no-deps peft==0.13.0",)
