"""Damaged and doubled installations."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import SITE, distribution, environment, examination, interpreter, probe_run
from vc2doctor.checks import vc003_broken_installation as check
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding, Severity


def found(*extra: Distribution, has_pip: bool = True) -> list[Finding]:
    distributions = (*environment().distributions, *extra)
    made = examination(distributions=distributions, interpreter=interpreter(has_pip=has_pip))
    return found_by(check, made)


def test_nothing_is_damaged() -> None:
    assert found() == []


def test_damage_of_a_watched_package_is_an_error() -> None:
    (finding,) = found(distribution("tokenizers", "0.19.1", problems=("RECORD cannot be read: x",)))
    assert finding.severity is Severity.ERROR
    assert finding.evidence == ("RECORD cannot be read: x",)
    assert finding.commands == ("/env/bin/python -m pip install --force-reinstall --no-deps tokenizers==0.19.1",)


def test_damage_elsewhere_is_a_warning() -> None:
    (finding,) = found(distribution("tqdm", None, problems=("METADATA is missing or empty",)))
    assert finding.severity is Severity.WARNING
    assert finding.commands[0].endswith(" tqdm")


def test_what_trained_all_the_same_is_a_warning() -> None:
    distributions = (*environment().distributions, distribution("tokenizers", "1", problems=("RECORD is missing",)))
    (finding,) = found_by(check, examination(distributions=distributions, probe=probe_run()))
    assert finding.severity is Severity.WARNING


def test_two_in_one_folder() -> None:
    (finding,) = found(distribution("peft", "0.4.0"))
    assert finding.severity is Severity.ERROR
    assert finding.message == "peft is installed twice in one folder, as 0.13.0 and 0.4.0"


def test_one_that_hides_another_is_a_note() -> None:
    (finding,) = found(distribution("peft", "0.4.0", path="/usr/lib/python3/peft-0.4.0.dist-info"))
    assert finding.severity is Severity.NOTE
    assert finding.message == "peft 0.13.0 hides peft 0.4.0 further down the path"
    assert f"peft 0.13.0 in {SITE}/peft-0.13.0.dist-info" in finding.evidence


def test_an_environment_without_pip_gets_uvs_command() -> None:
    (finding,) = found(distribution("peft", "0.4.0"), has_pip=False)
    assert finding.commands == ("uv pip install --python /env/bin/python --reinstall --no-deps peft==0.13.0",)
