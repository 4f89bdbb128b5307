"""Every rule has a pair of fixtures: code with the fault, whose places are marked in it, and code without it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from vc2doctor.linter import rules
from vc2doctor.linter.fix.transaction import fix
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings

FIXTURES = Path(__file__).parent / "fixtures" / "rules"
_MARK = re.compile(r"#\s*expect:\s*(note|warning|error)")
_LISTED_PLACE = re.compile(r"(\S+):(\d+) (\w+)")

Place = tuple[str, int, str]
"""Path, line and severity."""


def task_of(folder: Path, rule: str) -> LintTask:
    return LintTask(paths=(folder,), settings=LintSettings(select=(rule,)))


def findings_of(folder: Path, rule: str) -> set[Place]:
    findings = apply_rules(task_of(folder, rule)).findings
    return {(finding.path or "", finding.line or 0, finding.severity.value) for finding in findings}


def marked(folder: Path) -> set[Place]:
    """Return the places marked by comments. JSON has no comments, so ``expect.txt`` lists its places."""
    places = set()
    for path in folder.rglob("*.*"):
        name = path.relative_to(folder).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            listed = _LISTED_PLACE.fullmatch(line) if name == "expect.txt" else None
            if listed:
                places.add((listed.group(1), int(listed.group(2)), listed.group(3)))
            elif mark := _MARK.search(line):
                places.add((name, number, mark.group(1)))
    return places


def faulty_fixtures() -> list[tuple[str, str]]:
    """Return the rule and the folder of each fixture with a fault."""
    folders = FIXTURES.glob("VC*/*")
    return sorted(
        (folder.parent.name, folder.name) for folder in folders if not folder.name.startswith(("good", "fixed"))
    )


def clean_fixtures() -> list[tuple[str, str]]:
    """Return the rule and the folder of each fixture without a fault."""
    return sorted((folder.parent.name, folder.name) for folder in FIXTURES.glob("VC*/good*"))


@pytest.mark.parametrize(("rule", "folder"), faulty_fixtures())
def test_rule_finds_every_marked_place_with_its_severity(rule: str, folder: str) -> None:
    assert findings_of(FIXTURES / rule / folder, rule) == marked(FIXTURES / rule / folder)


@pytest.mark.parametrize(("rule", "folder"), clean_fixtures())
def test_rule_finds_nothing_in_code_without_the_fault(rule: str, folder: str) -> None:
    assert findings_of(FIXTURES / rule / folder, rule) == set()


@pytest.mark.parametrize("rule", rules.ids())
def test_every_rule_has_a_pair_of_fixtures(rule: str) -> None:
    assert marked(FIXTURES / rule / "bad")
    assert any((FIXTURES / rule / "good").iterdir())


@pytest.mark.parametrize("rule", sorted(path.parent.name for path in FIXTURES.glob("VC*/fixed")))
def test_fix_makes_the_expected_code_and_changes_nothing_the_second_time(rule: str, tmp_path: Path) -> None:
    copy = tmp_path / "bad"
    shutil.copytree(FIXTURES / rule / "bad", copy)
    task = task_of(copy, rule)
    first, _ = fix(task, apply_rules(task), unsafe=True, write=True)
    assert first.written
    for path in (FIXTURES / rule / "fixed").iterdir():
        assert (copy / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    second, _ = fix(task, apply_rules(task), unsafe=True, write=True)
    assert not second.files


@pytest.mark.parametrize("rule", rules.ids())
def test_page_of_every_rule_has_its_parts_in_order(rule: str) -> None:
    paragraphs = rules.pages()[rule].split("\n\n")
    assert tuple(re.findall(r"^\*\*([^*]+)\*\*", "\n\n".join(paragraphs), re.MULTILINE)) == rules.PAGE_PARTS
    assert paragraphs[0].endswith(".")
    assert not paragraphs[0].startswith("**"), "the first paragraph is the sentence for the table of rules"
    assert f"ignore[{rule}]" in rules.pages()[rule]
    assert "https://" in paragraphs[-1]
