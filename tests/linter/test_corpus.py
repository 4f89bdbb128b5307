"""The linter on 228 labelled places of real training code. Skipped if the public repositories are not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.linter import corpus

MIN_FOUND, MIN_QUIET = 0.85, 0.95
"""Shares of the faults that must be found, and of the right places that must have no finding."""
_NO_REPOSITORY = "no labelled repository is at hand: see tests/linter/corpus.py"


@pytest.fixture(scope="module")
def correct(tmp_path_factory: pytest.TempPathFactory) -> dict[corpus.Case, bool]:
    """Whether the linter judges each labelled place correctly."""
    answers: dict[corpus.Case, bool] = {}
    cases = corpus.cases()
    for repository, commit in sorted({(case.repository, case.commit) for case in cases}):
        git = corpus.git_directory(repository)
        if git is not None:
            findings = corpus.findings(git, commit, tmp_path_factory.mktemp("tree"))
            of_commit = [case for case in cases if (case.repository, case.commit) == (repository, commit)]
            answers.update({case: corpus.is_judged_correctly(case, findings) for case in of_commit})
    if not answers:
        pytest.skip(_NO_REPOSITORY)
    return answers


def _print_score(name: str, score: corpus.Score) -> None:
    print(f"{name}: {score.found} of {score.faults} found, {score.quiet} of {score.right} left alone")  # noqa: T201 - the result
    for case in score.wrong:
        kind = "missed" if case.is_fault else "false"
        place = f"{case.repository}@{case.commit[:8]}:{case.path}:{case.first_line}"
        print(f"  {kind} {place} {case.rule}: {case.why}")  # noqa: T201 - the result


def test_most_faults_are_found_and_most_right_code_has_no_finding(correct: dict[corpus.Case, bool]) -> None:
    for rule in sorted({case.rule for case in correct}):
        _print_score(rule, corpus.score(tuple(case for case in correct if case.rule == rule), correct))
    whole = corpus.score(tuple(correct), correct)
    _print_score("all", whole)
    assert whole.found >= MIN_FOUND * whole.faults
    assert whole.quiet >= MIN_QUIET * whole.right


def test_commit_is_written_without_links_even_if_the_clone_is_partial(tmp_path: Path) -> None:
    git = next((git for case in corpus.cases() if (git := corpus.git_directory(case.repository))), None)
    if git is None:
        pytest.skip(_NO_REPOSITORY)
    corpus.write_tree(git, "HEAD", tmp_path)
    assert any(tmp_path.rglob("*.py"))
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
