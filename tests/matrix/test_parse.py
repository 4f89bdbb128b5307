"""Combinations as users name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.matrix.parse import CombinationError, from_file, from_words


def test_words() -> None:
    found = from_words(["torch=2.5.1+cu124", "Transformers==4.57.3", "huggingface_hub=0.36.0", "python=3.10.13"])
    assert found.python == "3.10"
    assert found.versions == {"torch": "2.5.1+cu124", "transformers": "4.57.3", "huggingface-hub": "0.36.0"}
    assert not found.installed


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("torch", "'torch' is not NAME=VERSION"),
        ("torch>=2", "is not NAME=VERSION"),
        ("torch=two", "torch=two: not a version"),
        ("=2", "is not NAME=VERSION"),
    ],
)
def test_what_is_no_version_is_told(word: str, told: str) -> None:
    with pytest.raises(CombinationError, match=told):
        from_words([word])


def test_nothing() -> None:
    with pytest.raises(CombinationError, match="no package is named"):
        from_words([])


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"torch": "2.5.1"}\n\n{"peft": "0.11.1", "python": "3.9"}\n')
    assert [one.versions for one in from_file(path)] == [{"torch": "2.5.1"}, {"peft": "0.11.1"}]


@pytest.mark.parametrize("line", ["[1]", "{", '{"torch": "x"}', "{}"])
def test_a_wrong_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"torch": "2.5.1"}}\n{line}\n')
    with pytest.raises(CombinationError, match=r"a\.jsonl:2: "):
        list(from_file(path))
