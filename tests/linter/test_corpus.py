"""The linter on real training code: 161 labelled places of public repositories, where those are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.linter import corpus

_FOUND, _QUIET = 0.85, 0.95


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[corpus.Case, bool]:
    """Whether each labelled place is told rightly."""
    answers: dict[corpus.Case, bool] = {}
    cases = corpus.cases()
    for repository, commit in sorted({(case.repository, case.commit) for case in cases}):
        git = corpus.repository(repository)
        if git is not None:
            found = corpus.findings(git, commit, tmp_path_factory.mktemp("tree"))
            mine = [case for case in cases if (case.repository, case.commit) == (repository, commit)]
            answers.update({case: corpus.is_right(case, found) for case in mine})
    if not answers:
        pytest.skip("no labelled repository is at hand: see tests/lint/corpus.py")
    return answers


def _tell(name: str, score: corpus.Score) -> None:
    print(f"{name}: {score.found} of {score.findings} found, {score.quiet} of {score.clean} left alone")  # noqa: T201 - the result
    for case in score.wrong:
        kind = "missed" if case.finding else "false"
        print(f"  {kind} {case.repository}@{case.commit[:8]}:{case.path}:{case.first} {case.rule}: {case.why}")  # noqa: T201


def test_most_faults_are_found_and_right_code_is_left_alone(right: dict[corpus.Case, bool]) -> None:
    for rule in sorted({case.rule for case in right}):
        _tell(rule, corpus.score(tuple(case for case in right if case.rule == rule), right))
    whole = corpus.score(tuple(right), right)
    _tell("all", whole)
    assert whole.found >= _FOUND * whole.findings
    assert whole.quiet >= _QUIET * whole.clean


def test_a_commit_is_written_without_what_it_lacks(tmp_path: Path) -> None:
    git = next((found for case in corpus.cases() if (found := corpus.repository(case.repository))), None)
    if git is None:
        pytest.skip("no labelled repository is at hand: see tests/lint/corpus.py")
    corpus.write_tree(git, "HEAD", tmp_path)
    assert any(tmp_path.rglob("*.py"))
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
