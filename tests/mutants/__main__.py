"""``python -m tests.mutants``: try all mutants of the judging code, and print those that no unit test notices."""

from __future__ import annotations

import argparse
import os
import sys
import time

import pytest

from tests.mutants import page
from tests.mutants.mutations import mutants_of
from tests.mutants.running import ROOT, Trial

TESTS = {
    "vc2doctor/matrix/judge.py": (
        "tests/matrix/test_judge.py",
        "tests/matrix/test_judge_reasons.py",
        "tests/matrix/test_doors.py",
        "tests/matrix/test_refused.py",
        "tests/matrix/test_builds.py",
    ),
    "vc2doctor/matrix/builds.py": ("tests/matrix/test_builds.py",),
    "vc2doctor/matrix/hardware.py": ("tests/matrix/test_hardware.py", "tests/checks/test_vc008_gpu_unusable.py"),
    "vc2doctor/probe/outcome.py": ("tests/probe/test_outcome.py", "tests/checks/test_vc017_self_test.py"),
    "vc2doctor/probe/causes.py": ("tests/probe/test_causes.py", "tests/probe/test_cause_sentences.py"),
    "vc2doctor/probe/causes_of_errors.py": ("tests/probe/test_causes.py", "tests/probe/test_cause_sentences.py"),
    "vc2doctor/probe/causes_of_movement.py": ("tests/probe/test_causes.py", "tests/probe/test_cause_sentences.py"),
    "vc2doctor/probe/diagnose.py": ("tests/probe/test_causes.py", "tests/probe/test_cause_sentences.py"),
    "vc2doctor/probe/gradient_range.py": ("tests/probe/test_gradient_range.py",),
    "vc2doctor/checks/verdict.py": ("tests/checks/test_verdict.py",),
    "vc2doctor/checks/policy.py": ("tests/checks/test_policy.py",),
    "vc2doctor/checks/answer.py": ("tests/checks/test_answer.py",),
    "vc2doctor/commands/decisions.py": ("tests/commands/test_baseline.py",),
    "vc2doctor/commands/baseline.py": ("tests/commands/test_baseline.py",),
    "vc2doctor/remedies/question.py": ("tests/remedies/test_question.py",),
    "vc2doctor/commands/preflight.py": ("tests/commands/test_preflight.py",),
    "vc2doctor/commands/cache_key.py": ("tests/commands/test_cache_key.py",),
    "vc2doctor/matrix/verdict.py": ("tests/matrix/test_verdict.py",),
    "vc2doctor/matrix/conflicts.py": ("tests/matrix/test_conflicts.py",),
    "vc2doctor/matrix/refused.py": ("tests/matrix/test_refused.py",),
    "vc2doctor/matrix/doors.py": ("tests/matrix/test_doors.py",),
    "vc2doctor/checks/vc010_recipe.py": ("tests/checks/test_vc010_recipe.py",),
    "vc2doctor/checks/vc005_known_issue.py": ("tests/checks/test_vc005_known_issue.py",),
    "vc2doctor/checks/vc006_combination.py": ("tests/checks/test_vc006_combination.py",),
    "vc2doctor/checks/vc022_door.py": ("tests/checks/test_vc022_door.py",),
    "vc2doctor/probe/log_ratio.py": ("tests/probe/test_log_ratio.py",),
    "vc2doctor/checks/vc007_bf16.py": ("tests/checks/test_vc007_bf16.py",),
}
"""The judging code, and its unit tests. Every one of these tests may notice a mutant of every module."""
MIN_SHARE = 0.85
"""Share of the mutants of each module that must be killed; those that time out do not count."""


def main() -> int:
    """Print the results, write the page if asked to, and return 1 if a module has too many survivors."""
    options = _options()
    start = time.monotonic()
    paths = options.module or [*TESTS]
    mutants = [mutant for path in paths for mutant in mutants_of(path, (ROOT / path).read_text(encoding="utf-8"))]
    trial = Trial(mutants, progress=lambda done: _show_progress(done, len(mutants)))
    files = dict.fromkeys(file for path in paths for file in TESTS[path])
    # Why a mutant fails is not shown, so asserts need not collect what they compared.
    arguments = ["-q", "-s", "-p", "no:cacheprovider", "--assert=plain", f"--rootdir={ROOT}", *files]
    code = pytest.main(arguments, plugins=[trial])
    if code != pytest.ExitCode.OK:
        print(f"the tests ended with {code!r} before all mutants were tried")
        return 1
    print(page.terminal_text(trial.results))
    print(f"{sum(os.times()[:4]):.0f} s of processor time, {time.monotonic() - start:.0f} s of wall clock")
    if options.page:
        page.write(trial.results)
    return int(any(row.share < MIN_SHARE for row in page.rows(trial.results)))


def _show_progress(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{done} of {total} mutants", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--module", action="append", choices=[*TESTS], help="this one alone; repeatable")
    parser.add_argument("--page", action="store_true", help="write docs/mutants.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
