"""Patterns of others are matched in linear time."""

from __future__ import annotations

import time

import pytest

from vc2doctor.core import patterns
from vc2doctor.core.patterns import PatternError
from vc2doctor.matrix import load


def test_pattern_is_searched_or_matched_as_a_whole() -> None:
    pattern = patterns.compiled(r"no (\w+)\.$")
    assert patterns.is_found(pattern, "there is no module.")
    assert not patterns.is_whole(pattern, "there is no module.")
    assert patterns.is_whole(pattern, "no module.")
    assert patterns.is_found(pattern, "é\udcff no module.")


@pytest.mark.parametrize(
    "text", ["(a", "(?<=a)b", r"(a)\1", "[z-a]", "a" * 3000, "((a{1,1000}){1,1000}){1,100}", "\udcff"]
)
def test_pattern_that_cannot_be_matched_in_linear_time_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        patterns.compiled(text)


def test_symptom_that_backtracks_in_python_takes_no_time() -> None:
    start = time.process_time()
    assert not patterns.is_found(patterns.compiled("(a+)+$"), "a" * 100_000 + "b")
    assert time.process_time() - start < 1


def test_every_shipped_symptom_and_class_is_such_a_pattern() -> None:
    matrix = load.load(load.shipped())
    texts = [issue.symptom for issue in matrix.issues]
    texts += [pattern for profile in matrix.profiles.values() for pattern in profile.classes]
    assert texts
    assert all(patterns.compiled(text) is not None for text in texts)


def test_ignore_file_with_lines_that_are_no_patterns_keeps_the_others() -> None:
    spec = patterns.gitignore(["[z-a]", "\\", "*.pyc", "?" * 9000, "!keep.pyc", "# comment", "build/"])
    assert [name for name in ("a.pyc", "keep.pyc", "a.py", "build/x") if spec.match_file(name)] == ["a.pyc", "build/x"]


def test_ignore_line_that_backtracks_in_python_takes_no_time() -> None:
    start = time.process_time()
    spec = patterns.gitignore(["a*" * 25 + "b"])
    assert not spec.match_file("a" * 60)
    assert time.process_time() - start < 1
