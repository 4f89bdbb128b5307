"""Queries become combinations, and ranges are judged as a whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts import SHIPPED, cell, matrix
from vc2doctor.core.errors import DoctorError
from vc2doctor.core.versions import version
from vc2doctor.matrix.judge import Verdict, judge
from vc2doctor.matrix.names import MisspelledNameError
from vc2doctor.matrix.parse import CombinationError, from_words
from vc2doctor.matrix.ranges import WORKS, RangeJudgement, judge_ranges
from vc2doctor.matrix.resolve import ResolvedQuery, known_releases, resolve

STACK = ("torch==2.13.0", "peft==0.10.0")


def resolved(*words: str) -> ResolvedQuery:
    return resolve(from_words(words), SHIPPED)


def judged(*words: str) -> RangeJudgement:
    return judge_ranges(resolved(*words), SHIPPED, "bf16")


def test_every_combination_of_a_range_is_in_one_group_with_its_verdict() -> None:
    query = resolved("torch==2.5.1", "transformers>=4.40,<4.45", "peft>=0.12")
    answer = judge_ranges(query, SHIPPED, "bf16")
    verdicts = [judge(combination, SHIPPED, "bf16").verdict for combination in query.combinations()]
    assert sum(group.combinations for group in answer.groups) == len(verdicts)
    failing = [group for group in answer.groups if group.verdict is Verdict.INCOMPATIBLE]
    assert sum(group.combinations for group in failing) == verdicts.count(Verdict.INCOMPATIBLE) > 0
    assert answer.judgement.verdict is Verdict.INCOMPATIBLE, "an installer may choose any of them"


def test_answer_without_one_package_says_with_which_of_its_releases_the_others_were_measured() -> None:
    lines = [cell(torch, "4.44.2", "0.15.2") for torch in ("2.5.1", "2.13.0")]
    query = resolve(from_words(["transformers==4.44.2", "peft==0.15.2"]), matrix(*lines))
    first, second, *_ = judge_ranges(query, matrix(*lines), "bf16").judgement.reason.split("; ")
    assert "torch, which was not named" in first
    assert second == "measured to train with torch 2.5.1 and 2.13.0"
    other = resolve(from_words(["transformers==4.44.1", "peft==0.15.2"]), matrix(*lines))
    assert "; measured to train with" not in judge_ranges(other, matrix(*lines), "bf16").judgement.reason
    many = judged("torch==2.13.0", "peft==0.15.2").judgement.reason
    assert re.search(r"; measured to train with \d+ releases of transformers from 4\.44\.1 to 5\.24\.0$", many)


def test_a_group_holds_only_combinations_with_its_verdict() -> None:
    query = resolved("torch==2.5.1", "transformers>=4.40,<4.45", "peft>=0.12")
    for group in judge_ranges(query, SHIPPED, "bf16").groups:
        members = [
            combination
            for combination in query.combinations()
            if all(
                any(version(first) <= combination.version(name) <= version(last) for first, last in ranges)
                for name, ranges in group.releases.items()
            )
        ]
        assert len(members) == group.combinations
        works = group.verdict in WORKS
        assert all((judge(each, SHIPPED, "bf16").verdict in WORKS) is works for each in members)


def test_consecutive_releases_with_the_same_reason_are_one_range() -> None:
    answer = judged("torch==2.5.1", "transformers>=4.40,<4.45", "peft==0.17.0")
    assert [(group.verdict.value, dict(group.releases)) for group in answer.groups] == [
        ("compatible", {"transformers": (("4.44.0", "4.44.2"),)}),
        ("incompatible", {"transformers": (("4.43.0", "4.43.4"),)}),
        ("incompatible", {"transformers": (("4.40.0", "4.42.4"),)}),
    ]
    assert answer.narrowed == ("transformers>=4.44.0,<=4.44.2",)
    assert answer.judgement.reason == "Of the 19 combinations in the range, 16 do not train, 3 train"


def test_a_narrowed_range_holds_no_release_that_the_user_excluded() -> None:
    answer = judged("torch!=2.5.1", "transformers==5.3.0", "peft==0.19.1")
    assert answer.narrowed == ("torch>=2.4.0,<=2.15.0,!=2.5.1",)


def test_a_narrowed_range_of_python_holds_its_patch_releases() -> None:
    assert judged("torch==2.5.1", "transformers==4.44", "peft==0.12", "python>=3.9.2").narrowed == (
        "python>=3.9,<3.13",
    )


@pytest.mark.parametrize("words", [("transformers>=4.44,<4.45",), ("transformers==4.44.*",), ("transformers~=4.44.0",)])
def test_a_range_of_which_all_trains_has_the_good_verdict(words: tuple[str, ...]) -> None:
    answer = judged("torch==2.5.1", "peft==0.12", *words)
    assert answer.judgement.verdict is Verdict.COMPATIBLE
    assert answer.judgement.reason.startswith("All 3 in the range: ")
    assert answer.narrowed == ()


def test_a_range_without_a_known_release_is_an_error_that_tells_the_known_ones() -> None:
    with pytest.raises(CombinationError, match=r"'transformers>=9': no release of transformers .*from 4\.28\.0 to"):
        resolved("transformers>=9", *STACK)


def test_ranges_with_too_many_combinations_are_an_error() -> None:
    with pytest.raises(
        CombinationError, match=r"the ranges of torch, transformers, peft have \d{3},\d{3} combinations"
    ):
        resolved("torch>=1", "transformers>=4", "peft>=0")


def test_a_bare_name_of_the_stack_stands_for_the_newest_release_that_can_be_installed() -> None:
    query = resolved("torch", "transformers==4.44", "peft")
    assert query.newest == {"torch": SHIPPED.verdicts.releases["torch"][-1], "peft": "0.21.2"}
    # The requirements of peft 0.14 and newer exclude those of transformers 4.34. peft 0.13.2 is installed, and fails.
    assert resolved("torch==2.13.0", "transformers==4.34.0", "peft").newest == {"peft": "0.13.2"}


def test_the_version_of_another_bare_name_is_left_open() -> None:
    query = resolved("accelerate", "transformers==4.44", *STACK)
    assert query.any_version == ("accelerate",)
    assert "accelerate" not in query.fixed.versions


def test_packages_that_the_matrix_does_not_model_are_named_and_not_judged() -> None:
    query = resolved("nonsense==1.0", "foo", "bar>=2", "transformers==4.44", *STACK)
    assert query.not_judged == {"nonsense": "1.0", "bar": ">=2", "foo": ""}
    assert set(query.fixed.versions) == {"torch", "transformers", "peft"}


def test_a_misspelled_name_is_refused() -> None:
    with pytest.raises(MisspelledNameError, match=r"transfomers \(did you mean transformers\?\)"):
        resolved("transfomers>=4.40", *STACK)
    with pytest.raises(MisspelledNameError, match=r"pyhton \(did you mean python\?\)"):
        resolved("pyhton==3.11", *STACK)


def test_an_empty_matrix_has_no_newest_release() -> None:
    with pytest.raises(CombinationError, match="torch is named without a version, and the matrix knows no release"):
        resolve(from_words(["torch"]), matrix())


def test_releases_of_a_package_without_a_list_are_those_that_were_measured_or_are_named() -> None:
    knowledge = matrix(cell("2.0.0", "4.30.0", "0.4.0", resolved={"numpy": "1.26.4"}))
    assert known_releases("numpy", knowledge) == ("1.26.4",)
    query = resolve(from_words(["numpy>=1.20,<2", "torch==2.0.0"]), knowledge)
    assert query.axes == {"numpy": ("1.20", "1.26.4")}


@given(
    st.sampled_from(["transformers", "peft", "torch", "python", "numpy", "accelerate"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "~="]),
    st.tuples(st.integers(0, 5), st.integers(0, 60), st.integers(0, 3)),
)
def test_any_range_is_judged_as_its_combinations_or_refused(
    name: str, sign: str, release: tuple[int, int, int]
) -> None:
    fixed = {"torch": "2.13.0", "transformers": "4.44.0", "peft": "0.12.0"}
    words = [f"{package}=={text}" for package, text in fixed.items() if package != name]
    try:
        query = resolve(from_words([*words, f"{name}{sign}{'.'.join(map(str, release))}"]), SHIPPED)
    except DoctorError:
        return
    if query.axes:
        answer = judge_ranges(query, SHIPPED, "bf16")
        assert sum(group.combinations for group in answer.groups) == len(query.axes[name])
