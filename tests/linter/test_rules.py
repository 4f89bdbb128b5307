"""Every rule has a pair: code with the fault, whose places are marked in it, and code that is right."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from vc2doctor.linter import rules
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.run import LintTask, judge
from vc2doctor.linter.settings import LintSettings

FIXTURES = Path(__file__).parent / "fixtures" / "rules"
_EXPECT = re.compile(r"#\s*expect:\s*(note|warning|error)")


def request(folder: Path, rule: str) -> LintTask:
    return LintTask(paths=(folder,), settings=LintSettings(select=(rule,)))


def found(folder: Path, rule: str) -> set[tuple[str, int, str]]:
    return {(one.path or "", one.line or 0, one.severity.value) for one in judge(request(folder, rule)).findings}


def expected(folder: Path) -> set[tuple[str, int, str]]:
    """Return the marked places; JSON has no comments, so ``expect.txt`` tells its."""
    marked = set()
    for path in folder.rglob("*.*"):
        name = path.relative_to(folder).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            told = re.fullmatch(r"(\S+):(\d+) (\w+)", line) if name == "expect.txt" else None
            if told:
                marked.add((told.group(1), int(told.group(2)), told.group(3)))
            elif match := _EXPECT.search(line):
                marked.add((name, number, match.group(1)))
    return marked


def faulty() -> list[tuple[str, str]]:
    return sorted(
        (path.parent.name, path.name)
        for path in FIXTURES.glob("VC*/*")
        if path.name in ("bad", "outer", "apart", "wrapped")
    )


@pytest.mark.parametrize(("rule", "folder"), faulty())
def test_a_rule_finds_every_place_and_weighs_it(rule: str, folder: str) -> None:
    assert found(FIXTURES / rule / folder, rule) == expected(FIXTURES / rule / folder)


@pytest.mark.parametrize("rule", rules.ids())
def test_a_rule_is_quiet_where_the_code_is_right(rule: str) -> None:
    assert found(FIXTURES / rule / "good", rule) == set()


@pytest.mark.parametrize("rule", rules.ids())
def test_every_rule_has_its_pair(rule: str) -> None:
    assert expected(FIXTURES / rule / "bad")
    assert any((FIXTURES / rule / "good").iterdir())


@pytest.mark.parametrize("rule", sorted(path.parent.name for path in FIXTURES.glob("VC*/fixed")))
def test_a_fix_makes_what_is_written_beside_it(rule: str, tmp_path: Path) -> None:
    copy = tmp_path / "bad"
    shutil.copytree(FIXTURES / rule / "bad", copy)
    asked = request(copy, rule)
    done, _ = fix(asked, judge(asked), unsafe=True, write=True)
    assert done.written
    for path in (FIXTURES / rule / "fixed").iterdir():
        assert (copy / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    again, _ = fix(asked, judge(asked), unsafe=True, write=True)
    assert not again.files


@pytest.mark.parametrize("rule", rules.ids())
def test_a_page_says_what_why_and_how(rule: str) -> None:
    page = rules.pages()[rule]
    assert all(f"**{part}" in page for part in ("Why.", "Bad", "Good", "Quiet", "Silence", "Since"))
    assert f"ignore[{rule}]" in page
