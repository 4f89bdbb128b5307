"""Rules are selected, and places are suppressed, by comments and settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.ignore_comments import ignored_lines
from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings
from vc2doctor.linter.suppress import selected_rules

ALL_RULES = ("VC100", "VC101", "VC102", "VC103")
LINE = "    with torch.cuda.amp.autocast():"
CODE = f"import torch\n\n\ndef train(model, batch):\n{LINE}\n        model(batch).backward()\n"
"""VC102 reports ``LINE``."""


def test_comment_names_rules_or_none_for_all() -> None:
    text = "a  # vc2doctor: ignore[VC101, vc103]\nb\nc  # vc2doctor: ignore\n"
    assert ignored_lines(text) == {1: frozenset({"VC101", "VC103"}), 3: frozenset()}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LintSettings(), set(ALL_RULES)),
        (LintSettings(select=("VC101",)), {"VC101"}),
        (LintSettings(select=("VC101",), extend_select=("VC103",)), {"VC101", "VC103"}),
        (LintSettings(ignore=("vc10",)), set()),
        (LintSettings(ignore=("VC102",)), {"VC100", "VC101", "VC103"}),
    ],
)
def test_rules_are_selected_by_prefixes_of_ids(settings: LintSettings, expected: set[str]) -> None:
    assert selected_rules(settings, ALL_RULES) == expected


def test_rule_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(LintError, match="no rule 'VC999'"):
        selected_rules(LintSettings(ignore=("VC999",)), ALL_RULES)


@pytest.mark.parametrize(
    ("ids", "is_suppressed"), [("[VC102]", True), ("", True), ("[VC103]", False), ("[VC102,VC108]", True)]
)
def test_comment_suppresses_its_rules_on_its_line(ids: str, is_suppressed: bool, tmp_path: Path) -> None:
    commented = CODE.replace(LINE, f"{LINE}  # vc2doctor: ignore{ids}")
    (tmp_path / "train.py").write_text(commented, encoding="utf-8")
    result = apply_rules(LintTask(paths=(tmp_path,)))
    assert ("VC102" not in {finding.id for finding in result.findings}) is is_suppressed
    assert bool(result.silenced) is is_suppressed


def test_suppressed_copy_leaves_the_other_places_of_a_finding(tmp_path: Path) -> None:
    for name, comment in (("a", "  # vc2doctor: ignore[VC105]"), ("b", ""), ("c", "")):
        (tmp_path / f"{name}.py").write_text(f"fp16 = True\nmax_grad_norm = -1{comment}\n", encoding="utf-8")
    (finding,) = [finding for finding in apply_rules(LintTask(paths=(tmp_path,))).findings if finding.id == "VC105"]
    assert [place.location for place in finding.places] == ["b.py:2", "c.py:2"]


def test_settings_in_pyproject_apply_and_exclude_only_if_they_are_trusted(
    tmp_path: Path, doctor: Callable[..., Ran]
) -> None:
    for name in ("train.py", "legacy/train.py", "copied/train.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CODE, encoding="utf-8")
    settings = (
        '[tool.vc2doctor.lint]\nselect = ["VC102"]\nexclude = ["copied"]\n'
        '[tool.vc2doctor.lint.per-file-ignores]\n"legacy/*" = ["VC102"]\n'
    )
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    ran = doctor("lint", "--fail-on", "warning", cwd=tmp_path)
    assert ran.code == 1
    assert "train.py:5" in ran.out
    assert "legacy/train.py:5" not in ran.out
    assert "VC108" not in ran.out
    assert "were ignored: lint.exclude. Pass the file with --config." in ran.out
    assert "copied/train.py:5" in ran.out, "a file that was only found hides no code"
    assert "1 place ignored by comments or per-file ignores." in ran.out
    assert "of rules that are off." in ran.out
    trusted = doctor("lint", "--fail-on", "warning", "--trust-settings", cwd=tmp_path)
    assert trusted.code == 1
    assert "copied/train.py:5" not in trusted.out
    assert "copied/train.py is named by exclude in the settings" in trusted.out
    isolated = doctor("lint", "--isolated", cwd=tmp_path)
    assert "legacy/train.py:5" in isolated.out
    assert "VC108" in isolated.out


def test_unknown_setting_in_pyproject_is_an_error(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor.lint]\nselct = []\n", encoding="utf-8")
    ran = doctor("lint", cwd=tmp_path)
    assert ran.code == 2
    assert "selct" in ran.err


def test_suppressed_place_is_not_fixed(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    line = "        with torch.cuda.amp.autocast(dtype=torch.float16):"
    text = (
        "import torch\n\n\ndef train(model, loader, scaler):\n    for batch in loader:\n"
        f"{line}\n            loss = model(batch)\n{line}  # vc2doctor: ignore\n            loss += model(batch)\n"
        "        scaler.scale(loss).backward()\n"
    )
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    doctor("lint", "--fix", cwd=tmp_path)
    fixed = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert fixed.count('torch.autocast("cuda", dtype=torch.float16)') == 1
    assert f"{line}  # vc2doctor: ignore" in fixed
