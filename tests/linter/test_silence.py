"""What people told the linter to leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.ignore_comments import comments
from vc2doctor.linter.run import LintTask, judge
from vc2doctor.linter.settings import LintSettings
from vc2doctor.linter.suppress import selected

KNOWN = ("VC100", "VC101", "VC102", "VC103")
LINE = "    with torch.cuda.amp.autocast():"
CODE = f"import torch\n\n\ndef train(model, batch):\n{LINE}\n        model(batch).backward()\n"


def test_comments_name_rules_or_none() -> None:
    text = "a  # vc2doctor: ignore[VC101, vc103]\nb\nc  # vc2doctor: ignore\n"
    assert comments(text) == {1: frozenset({"VC101", "VC103"}), 3: frozenset()}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (LintSettings(), set(KNOWN)),
        (LintSettings(select=("VC101",)), {"VC101"}),
        (LintSettings(select=("VC101",), extend_select=("VC103",)), {"VC101", "VC103"}),
        (LintSettings(ignore=("vc10",)), set()),
        (LintSettings(ignore=("VC102",)), {"VC100", "VC101", "VC103"}),
    ],
)
def test_rules_are_chosen_by_the_beginnings_of_ids(settings: LintSettings, expected: set[str]) -> None:
    assert selected(settings, KNOWN) == expected


def test_a_rule_that_does_not_exist_is_wrong_usage() -> None:
    with pytest.raises(LintError, match="no rule 'VC999'"):
        selected(LintSettings(ignore=("VC999",)), KNOWN)


@pytest.mark.parametrize(
    ("comment", "left"), [("[VC102]", True), ("", True), ("[VC103]", False), ("[VC102,VC108]", True)]
)
def test_a_comment_silences_its_line(comment: str, left: bool, tmp_path: Path) -> None:
    silent = CODE.replace(LINE, f"{LINE}  # vc2doctor: ignore{comment}")
    (tmp_path / "train.py").write_text(silent, encoding="utf-8")
    judged = judge(LintTask(paths=(tmp_path,)))
    assert ("VC102" not in {one.id for one in judged.findings}) is left
    assert bool(judged.silenced) is left


def test_one_silenced_copy_leaves_the_others(tmp_path: Path) -> None:
    for name, comment in (("a", "  # vc2doctor: ignore[VC105]"), ("b", ""), ("c", "")):
        (tmp_path / f"{name}.py").write_text(f"fp16 = True\nmax_grad_norm = -1{comment}\n", encoding="utf-8")
    (found,) = [one for one in judge(LintTask(paths=(tmp_path,))).findings if one.id == "VC105"]
    assert [place.location for place in found.places] == ["b.py:2", "c.py:2"]


def test_settings_in_pyproject(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    for name in ("train.py", "legacy/train.py", "copied/train.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CODE, encoding="utf-8")
    told = (
        '[tool.vc2doctor.lint]\nselect = ["VC102"]\nexclude = ["copied"]\n'
        '[tool.vc2doctor.lint.per-file-ignores]\n"legacy/*" = ["VC102"]\n'
    )
    (tmp_path / "pyproject.toml").write_text(told, encoding="utf-8")
    ran = doctor("lint", "--fail-on", "warning", cwd=tmp_path)
    assert ran.code == 1
    assert "train.py:5" in ran.out
    assert "legacy" not in ran.out
    assert "VC108" not in ran.out
    assert "were ignored: lint.exclude. Pass the file with --config." in ran.out
    assert "copied/train.py:5" in ran.out, "a file that was only found hides no code"
    assert "1 place ignored by comments or per-file ignores." in ran.out
    assert "findings of rules that are off." in ran.out
    trusted = doctor("lint", "--fail-on", "warning", "--trust-settings", cwd=tmp_path)
    assert trusted.code == 1
    assert "copied" not in trusted.out
    isolated = doctor("lint", "--isolated", cwd=tmp_path)
    assert "legacy/train.py:5" in isolated.out
    assert "VC108" in isolated.out
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor.lint]\nselct = []\n", encoding="utf-8")
    ran = doctor("lint", cwd=tmp_path)
    assert ran.code == 2
    assert "selct" in ran.err


def test_what_is_left_is_not_mended(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    line = "        with torch.cuda.amp.autocast(dtype=torch.float16):"
    text = (
        "import torch\n\n\ndef train(model, loader, scaler):\n    for batch in loader:\n"
        f"{line}\n            loss = model(batch)\n{line}  # vc2doctor: ignore\n            loss += model(batch)\n"
        "        scaler.scale(loss).backward()\n"
    )
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    doctor("lint", "--fix", cwd=tmp_path)
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert after.count('torch.autocast("cuda", dtype=torch.float16)') == 1
    assert f"{line}  # vc2doctor: ignore" in after
