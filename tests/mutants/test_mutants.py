"""What becomes of the mutants of a small module, with real tests of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mutmut", reason="nox -s mutants installs it")

from tests.mutants import page
from tests.mutants.__main__ import TESTS
from tests.mutants.mutations import Mutant
from tests.mutants.running import ROOT, Fate, Result

JUDGED = '''\
LIMIT = 10
REGISTER = []


def registered(function):
    REGISTER.append(function)
    return function


@registered
def is_large(number, limit=LIMIT):
    """Return whether a number is large."""
    return number >= limit


class Count:
    def __init__(self, number):
        self.number = number

    @property
    def text(self):
        return "large number" if self.number > LIMIT else "small"


def count_down(number, step=1):
    while number > 0:
        number -= step
    return number


def never_called():
    return 1
'''
TESTS_OF_JUDGED = """\
import judged


def test_is_large():
    assert judged.REGISTER[0](10)
    assert not judged.REGISTER[0](8)


def test_count():
    assert judged.Count(11).text == "large number"
    assert judged.Count(10).text == "small"


def test_count_down():
    assert judged.count_down(3) == 0
"""
RUN = """\
import json, pathlib, pytest
from tests.mutants import running
from tests.mutants.mutations import mutants_of

running.MIN_CPU_SECONDS = 0.5
unchanged = "def is_large(number, limit=LIMIT):\\n    return number >= limit\\n"
control = running.Mutant("judged.py", 13, "is_large", "unchanged", "unchanged", unchanged, is_constant=False)
mutants = [control, *mutants_of("judged.py", pathlib.Path("judged.py").read_text())]
trial = running.Trial(mutants, pathlib.Path.cwd())
pytest.main(["-q", "-s", "-p", "no:cacheprovider", "test_judged.py"], plugins=[trial])
results = [[result.mutant.line, result.mutant.after, result.fate.name] for result in trial.results]
pathlib.Path("results.json").write_text(json.dumps(results))
"""


def fates_in(folder: Path, tests: str) -> dict[tuple[int, str], Fate]:
    """Return what becomes of the mutants of ``JUDGED`` with these tests, by line and changed text."""
    for name, text in (("judged.py", JUDGED), ("test_judged.py", tests), ("run.py", RUN), ("pytest.ini", "[pytest]")):
        (folder / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = ['.', {str(ROOT)!r}]\n{RUN}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {(line, after): Fate[fate] for line, after, fate in results}


def test_mutants_are_killed_or_survive_as_the_tests_notice_them(tmp_path: Path) -> None:
    fates = fates_in(tmp_path, TESTS_OF_JUDGED)
    assert fates[13, "unchanged"] is Fate.SURVIVED, "putting a function into the place of another kills nothing"
    # A decorated function, a property and a constant that a module read when it was imported.
    assert fates[13, "return number > limit"] is Fate.KILLED
    assert fates[22, 'return "large number" if self.number >= LIMIT else "small"'] is Fate.KILLED
    assert fates[1, "LIMIT = 11"] is Fate.KILLED
    assert fates[25, "def count_down(number, step=2):"] is Fate.KILLED
    assert fates[26, "while number > 1:"] is Fate.KILLED
    assert fates[27, "number += step"] is Fate.TIMED_OUT
    assert fates[32, "return 2"] is Fate.UNREACHED
    # Texts with a space are sentences for people.
    assert not any("LARGE" in after for _, after in fates)


def test_mutants_survive_tests_that_look_at_nothing(tmp_path: Path) -> None:
    fates = fates_in(tmp_path, "import judged\n\n\ndef test_is_large():\n    judged.is_large(10)\n")
    assert fates[13, "return number > limit"] is Fate.SURVIVED


def test_without_passing_tests_no_mutant_is_tried(tmp_path: Path) -> None:
    assert fates_in(tmp_path, "import judged\n\n\ndef test_is_large():\n    assert not judged.is_large(10)\n") == {}


def test_every_reason_is_about_lines_that_exist() -> None:
    texts = {path: " ".join((ROOT / path).read_text(encoding="utf-8").split()) for path in TESTS}
    assert [key for key in page.read_reasons() if " ".join(key[2].split()) not in texts[key[0]]] == []


def result_of(path: str, fate: Fate) -> Result:
    return Result(Mutant(path, 7, "judge", "a < b", "a <= b", "", is_constant=False), fate)


def test_share_counts_what_no_test_reaches_and_leaves_out_what_timed_out() -> None:
    fates = (Fate.KILLED, Fate.KILLED, Fate.KILLED, Fate.SURVIVED, Fate.UNREACHED, Fate.TIMED_OUT)
    (row,) = page.rows([result_of("x.py", fate) for fate in fates])
    assert (row.killed, row.survived, row.timed_out, row.share) == (3, 2, 1, 0.6)
    text = page.terminal_text([result_of("x.py", Fate.KILLED), result_of("y.py", Fate.SURVIVED)])
    assert "y.py:7 judge: survived\n  - a < b\n  + a <= b\n" in text
    assert "x.py:7" not in text
