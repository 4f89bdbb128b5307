"""Combinations as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.matrix.parse import CombinationError, from_file, from_words


def test_words_become_versions_by_canonical_name() -> None:
    combination = from_words(["torch=2.5.1+cu124", "Transformers==4.57.3", "huggingface_hub=0.36.0", "python=3.10.13"])
    assert combination.python == "3.10"
    assert combination.versions == {"torch": "2.5.1+cu124", "transformers": "4.57.3", "huggingface-hub": "0.36.0"}
    assert not combination.installed


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("torch", "'torch' is not NAME=VERSION"),
        ("torch>=2", "is not NAME=VERSION"),
        ("torch=two", "torch=two: 'two' is not a version"),
        ("=2", "is not NAME=VERSION"),
    ],
)
def test_a_word_that_is_not_a_version_by_name_is_an_error(word: str, message: str) -> None:
    with pytest.raises(CombinationError, match=message):
        from_words([word])


def test_no_words_are_an_error() -> None:
    with pytest.raises(CombinationError, match="no package is named"):
        from_words([])


def test_a_file_holds_one_combination_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"torch": "2.5.1"}\n\n{"peft": "0.11.1", "python": "3.9"}\n')
    assert [combination.versions for combination in from_file(path)] == [{"torch": "2.5.1"}, {"peft": "0.11.1"}]


@pytest.mark.parametrize("line", ["[1]", "{", '{"torch": "x"}', "{}"])
def test_an_error_in_a_file_gives_the_line_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"torch": "2.5.1"}}\n{line}\n')
    with pytest.raises(CombinationError, match=r"a\.jsonl:2: "):
        list(from_file(path))
