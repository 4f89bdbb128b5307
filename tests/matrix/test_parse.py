"""Versions as users write them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.core.errors import DoctorError
from vc2doctor.matrix.parse import CombinationError, VersionQuery, from_file, from_names, from_words


def test_words_become_versions_by_canonical_name() -> None:
    query = from_words(["torch=2.5.1+cu124", "Transformers==4.57.3", "huggingface_hub = 0.36.0", "python=3.10.13"])
    assert query.exact == {
        "torch": "2.5.1+cu124",
        "transformers": "4.57.3",
        "huggingface-hub": "0.36.0",
        "python": "3.10",
    }
    assert (query.ranges, query.bare) == ({}, ())
    assert query.combination.python == "3.10"
    assert "python" not in query.combination.versions
    assert not query.combination.installed


def test_a_word_may_be_a_name_or_a_range() -> None:
    query = from_words(["torch", "transformers>=4.40,<4.45", "peft == 0.11.*", "numpy~=1.26", "trl!=0.9", "jinja2=3.*"])
    assert query.bare == ("torch",)
    assert query.ranges == {
        "transformers": ">=4.40,<4.45",
        "peft": "== 0.11.*",
        "numpy": "~=1.26",
        "trl": "!=0.9",
        "jinja2": "==3.*",
    }


def test_a_gpu_is_named_without_a_version() -> None:
    assert from_words(["gpu", "torch"]).exact == {"gpu": "1"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "'' names no package"),
        ("=2", "'=2' names no package before the version. Write torch==2.5.1"),
        ("==1", "names no package before the version"),
        (">=2", "names no package before the version"),
        ("torch=", "'torch=': no version follows the sign"),
        ("torch==", "'torch==': no version follows the sign"),
        ("torch=two", "'torch=two': 'two' is not a version such as 2.5.1"),
        ("torch=>2", "'torch=>2': '>2' is not a version such as 2.5.1"),
        ("torch>two", "'>two' is not a version specifier such as >=2.1,<2.6"),
        ("torch>=2.5.1+cu121", "is not a version specifier"),
        ("torch===two", "'two' is not a version"),
        ("2.5.1", "'2.5.1' is a version without a package. Write both in one word: torch==2.5.1"),
        ("requirements.txt", "is the name of a file"),
        ("torch 2.5.1", "'torch 2.5.1' is not a package with a version"),
        ("transformers[torch]==4.44", "extras are not judged; leave out the brackets"),
        ("torch @ https://x/y.whl", "an address says no version"),
        ("torch ; python_version<'3'", "environment markers are not judged"),
        ("tørch==2", "'tørch==2' is not a package with a version"),
        ("ｔｏｒｃｈ==2", "names no package"),  # noqa: RUF001 - wide letters are what is tested
        ("torch==²", "is not a version"),
        ("torch==" + "9" * 5000, "has 5,007 characters"),
        ("python", "python is named without a version"),
        ("python==3", "the minor version of Python decides"),
    ],
)
def test_a_word_that_cannot_be_understood_is_an_error(word: str, message: str) -> None:
    with pytest.raises(CombinationError) as caught:
        from_words([word])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("words", [["torch", "torch"], ["torch==2", "Torch==2.1"], ["hf-x==1", "hf_x>=1"]])
def test_a_package_is_named_once(words: list[str]) -> None:
    with pytest.raises(CombinationError, match=rf"is named twice: {words[0]} and {words[1]}\. Name it once"):
        from_words(words)


def test_no_words_are_an_error() -> None:
    with pytest.raises(CombinationError, match="no package is named"):
        from_words([])


def test_a_mapping_may_hold_ranges_and_empty_texts() -> None:
    query = from_names({"torch": "2.5.1", "transformers": ">=4.40,<4.45", "peft": ""})
    assert query == VersionQuery(exact={"torch": "2.5.1"}, ranges={"transformers": ">=4.40,<4.45"}, bare=("peft",))


WORDS = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["torch", "Torch", "peft", "python", "gpu", "x", "", "a.b", "-"]),
        st.sampled_from(["=", "==", "===", ">=", "<", "~=", "!=", "=>", " ", "[x]", "@", ";", ""]),
        st.one_of(st.text(max_size=10), st.from_regex(r"\d{1,3}(\.\d{1,3}){0,3}(\.\*|rc1|\+cu1)?", fullmatch=True)),
    ),
)


@given(st.lists(WORDS, max_size=4))
def test_any_words_make_a_query_or_an_error_in_words(words: list[str]) -> None:
    # Any other exception fails the test.
    with contextlib.suppress(DoctorError):
        assert len(from_words(words).names) == len(words)


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.text(max_size=12), st.none(), st.integers(), st.floats())))
def test_any_mapping_makes_a_query_or_an_error_in_words(texts: dict[str, str]) -> None:
    # Any other exception fails the test.
    with contextlib.suppress(DoctorError):
        assert len(from_names(texts).names) == len(texts)


def test_a_file_holds_one_combination_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff{"torch": "2.5.1"}\n\n{"peft": "0.11.1", "python": "3.9"}\r\n', encoding="utf-8")
    assert [(number, query.combination.versions) for number, query in from_file(path)] == [
        (1, {"torch": "2.5.1"}),
        (3, {"peft": "0.11.1"}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "{",
        '"torch"',
        "null",
        '{"torch": "x"}',
        "{}",
        '{"torch": 2.5}',
        '{"torch": null}',
        '{"torch": {"a": "b"}}',
        '{"torch": "2", "torch": "3"}',
        '{"": "1"}',
        '{"tørch": "2"}',
        "[" * 100_000,
        '{"torch": "\\u0000"}',
    ],
)
def test_an_error_in_a_file_gives_the_line_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"torch": "2.5.1"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(CombinationError, match=r"a\.jsonl:2: "):
        list(from_file(path))


def test_a_number_is_not_taken_for_a_version(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"torch": 2.10}))
    with pytest.raises(CombinationError, match=r"the version '2\.1' is not a text\. Put it in quotation marks\."):
        list(from_file(path))


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(CombinationError, match="it is not UTF-8 text"):
        list(from_file(path))
