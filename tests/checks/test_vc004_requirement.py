"""Declared requirements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.checks import findings_of
from tests.facts import distribution, environment, examination, probe_run
from vc2doctor.checks import vc004_requirement as check
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding, Severity


def findings(*extra: Distribution) -> list[Finding]:
    return findings_of(check, examination(distributions=(*environment().distributions, *extra)))


def test_met_requirements_have_no_finding() -> None:
    requires = ("numpy>=1.17", "torch", "peft<1; python_version>'3'")
    assert findings(distribution("safetensors", "0.4", requires=requires)) == []


def test_other_installed_version_is_an_error() -> None:
    (finding,) = findings(distribution("tokenizers", "0.19.1", requires=("huggingface-hub<1.0,>=0.16",)), hub("2.4.0"))
    assert finding.severity is Severity.ERROR
    assert finding.message == "tokenizers 0.19.1 requires huggingface-hub<1.0,>=0.16, but 2.4.0 is installed"
    assert finding.commands[0] == "/env/bin/python -m pip install huggingface-hub==0.36.2"


def hub(version: str) -> Distribution:
    return distribution("huggingface-hub", version)


def test_required_package_that_is_not_installed_is_named() -> None:
    (finding,) = findings(distribution("safetensors", "0.4", requires=("Some_Package>=2",)))
    assert finding.message == "safetensors 0.4 requires Some_Package>=2, which is not installed"


def test_unmet_requirement_is_a_warning_if_the_probe_trained() -> None:
    unmet = distribution("safetensors", "0.4", requires=("triton",))
    distributions = (*environment().distributions, unmet)
    (finding,) = findings_of(check, examination(distributions=distributions, probe=probe_run()))
    assert finding.severity is Severity.WARNING


def test_unmet_requirement_of_another_package_is_a_note() -> None:
    assert findings(distribution("gradio", "4", requires=("pillow",)))[0].severity is Severity.NOTE


def test_markers_of_other_platforms_do_not_apply() -> None:
    requires = ("pywin32; sys_platform == 'win32'", "x; python_version < '3'", "y; extra == 'dev'")
    assert findings(distribution("safetensors", "0.4", requires=requires)) == []


def test_requirement_of_an_extra_counts_if_the_extra_is_requested() -> None:
    user = distribution("accelerate-user", "1", requires=("safetensors[torch]",))
    with_extra = distribution("safetensors", "0.4", requires=("nothere; extra == 'torch'",), extras=("torch",))
    (finding,) = findings(user, with_extra)
    assert finding.message == "safetensors 0.4 requires nothere, which is not installed"


def test_local_versions_and_pre_releases_meet_a_requirement() -> None:
    assert findings(distribution("safetensors", "0.4", requires=("torch==2.13.0",))) == []
    assert findings(hub("1.0.0rc1"), distribution("tokenizers", "1", requires=("huggingface-hub>=0.16",))) == []


def test_requirement_that_cannot_be_parsed_is_skipped() -> None:
    assert findings(distribution("safetensors", "0.4", requires=("!!", "x ; nonsense == 1", "0_"))) == []


@given(st.lists(st.text(max_size=30), max_size=4))
def test_check_survives_any_requirement_text(texts: list[str]) -> None:
    findings(distribution("safetensors", "0.4", requires=tuple(texts)))


def test_missing_package_of_the_stack_is_left_to_vc001() -> None:
    accelerate = distribution("accelerate", "1", requires=("torch",))
    assert findings_of(check, examination({"transformers": "4.40.1"}, distributions=(accelerate,))) == []
