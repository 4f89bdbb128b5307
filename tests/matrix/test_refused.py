"""What an installer refuses, by what the releases declare."""

from __future__ import annotations

import pytest

from tests.facts import SHIPPED
from vc2doctor.core.versions import contains
from vc2doctor.matrix.judge import Combination, Verdict, judge
from vc2doctor.matrix.refused import refusals

STACK = {"torch": "2.13.0", "transformers": "5.10.4", "peft": "0.19.0"}


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"trl": "1.4.0", "accelerate": "1.3.0"}, "trl 1.4.0 requires accelerate >=1.4.0"),
        ({"transformers": "4.57.6", "numpy": "1.16.0"}, "transformers 4.57.6 requires numpy >=1.17"),
        ({"python": "3.9", "trl": "1.4.0"}, "trl 1.4.0 requires Python >=3.10"),
        ({"python": "3.12", "numpy": "1.24.4"}, "numpy 1.24.4 has no wheel for Python 3.12"),
        ({"transformers": "5.14.1", "tokenizers": "0.22.0"}, "no release of huggingface-hub meets"),
    ],
)
def test_versions_that_exclude_each_other_are_refused(versions: dict[str, str], expected: str) -> None:
    assert any(reason.startswith(expected) for reason in refusals(versions, SHIPPED.wheels))


def test_refusal_names_both_sides() -> None:
    refused = {"trl": "1.4.0", "accelerate": "1.3.0"}
    assert "trl 1.4.0 requires accelerate >=1.4.0, so an installer refuses accelerate 1.3.0" in [
        *refusals(refused, SHIPPED.wheels)
    ]
    split = {"transformers": "5.14.1", "tokenizers": "0.22.0"}
    (reason,) = (each for each in refusals(split, SHIPPED.wheels) if each.startswith("no release"))
    assert "(transformers 5.14.1)" in reason
    assert "(tokenizers 0.22.0)" in reason


@pytest.mark.parametrize(("trl", "accelerate"), [("1.4", "1.3"), ("1.4.0.0", "1.3.0"), ("1.4.0+local", "1.3.0")])
def test_a_version_is_the_same_however_it_is_written(trl: str, accelerate: str) -> None:
    refused = list(refusals({"trl": trl, "accelerate": accelerate}, SHIPPED.wheels))
    assert refused == [f"trl {trl} requires accelerate >=1.4.0, so an installer refuses accelerate {accelerate}"]


def test_versions_that_agree_are_not_refused() -> None:
    versions = {"python": "3.12", "trl": "1.4.0", "accelerate": "1.4.0", "torch": "2.13.0+cpu"}
    assert not list(refusals(versions, SHIPPED.wheels))


def test_one_requirement_alone_is_not_refused_because_the_index_does_not_know_releases_that_old() -> None:
    index = SHIPPED.wheels.releases
    assert index["trl"]["0.4.3"].requires["accelerate"] == "<0.20.0"
    assert not any(contains("<0.20.0", release) for release in index["accelerate"])
    assert not list(refusals({"trl": "0.4.3"}, SHIPPED.wheels))


def test_a_refusal_concerns_what_is_to_be_installed_and_not_what_is() -> None:
    refused = {**STACK, "trl": "1.4.0", "accelerate": "1.3.0"}
    wanted = judge(Combination(python="3.12", versions=refused, installed=False), SHIPPED, "bf16")
    assert wanted.verdict is Verdict.INCOMPATIBLE
    assert "trl 1.4.0 requires accelerate >=1.4.0" in wanted.reason
    assert "requires" not in judge(Combination(python="3.12", versions=refused), SHIPPED, "bf16").reason
