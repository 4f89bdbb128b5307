"""Declared requirements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.checks import found_by
from tests.facts import distribution, environment, examination, probe_run
from vc2doctor.checks import vc004_requirement as check
from vc2doctor.environment.model import Distribution
from vc2doctor.findings import Finding, Severity


def found(*extra: Distribution) -> list[Finding]:
    return found_by(check, examination(distributions=(*environment().distributions, *extra)))


def test_met() -> None:
    assert (
        found(distribution("safetensors", "0.4", requires=("numpy>=1.17", "torch", "peft<1; python_version>'3'"))) == []
    )


def test_another_version() -> None:
    (finding,) = found(distribution("tokenizers", "0.19.1", requires=("huggingface-hub<1.0,>=0.16",)), hub("2.4.0"))
    assert finding.severity is Severity.ERROR
    assert finding.message == "tokenizers 0.19.1 requires huggingface-hub<1.0,>=0.16, and 2.4.0 is installed"
    assert finding.commands == ("/env/bin/python -m pip install 'huggingface-hub<1.0,>=0.16'",)


def hub(version: str) -> Distribution:
    return distribution("huggingface-hub", version)


def test_not_installed() -> None:
    (finding,) = found(distribution("safetensors", "0.4", requires=("Some_Package>=2",)))
    assert finding.message == "safetensors 0.4 requires Some_Package>=2, which is not installed"


def test_what_trained_all_the_same_is_a_warning() -> None:
    needy = distribution("safetensors", "0.4", requires=("triton",))
    distributions = (*environment().distributions, needy)
    (finding,) = found_by(check, examination(distributions=distributions, probe=probe_run()))
    assert finding.severity is Severity.WARNING


def test_elsewhere_it_is_a_note() -> None:
    assert found(distribution("gradio", "4", requires=("pillow",)))[0].severity is Severity.NOTE


def test_markers_of_other_platforms_do_not_apply() -> None:
    texts = ("pywin32; sys_platform == 'win32'", "x; python_version < '3'", "y; extra == 'dev'")
    assert found(distribution("safetensors", "0.4", requires=texts)) == []


def test_an_extra_counts_where_it_is_asked_for() -> None:
    wanted = distribution("accelerate-user", "1", requires=("safetensors[torch]",))
    given_extra = distribution("safetensors", "0.4", requires=("nothere; extra == 'torch'",), extras=("torch",))
    (finding,) = found(wanted, given_extra)
    assert finding.message == "safetensors 0.4 requires nothere, which is not installed"


def test_local_and_pre_releases_are_understood() -> None:
    assert found(distribution("safetensors", "0.4", requires=("torch==2.13.0",))) == []
    assert found(hub("1.0.0rc1"), distribution("tokenizers", "1", requires=("huggingface-hub>=0.16",))) == []


def test_a_requirement_that_cannot_be_read_is_left_alone() -> None:
    assert found(distribution("safetensors", "0.4", requires=("!!", "x ; nonsense == 1"))) == []


@given(st.lists(st.text(max_size=30), max_size=4))
def test_no_metadata_breaks_the_check(texts: list[str]) -> None:
    found(distribution("safetensors", "0.4", requires=tuple(texts)))


def test_a_missing_package_of_the_stack_is_told_once() -> None:
    made = examination(
        {"transformers": "4.40.1"}, distributions=(distribution("accelerate", "1", requires=("torch",)),)
    )
    assert found_by(check, made) == []
