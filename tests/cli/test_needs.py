"""``vc2doctor needs``, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran

OLD = "from peft import prepare_model_for_int8_training\n"


@pytest.mark.parametrize(
    ("requirement", "code", "exit_code"),
    [("peft==0.4.0", OLD, 0), ("peft==0.17.0", OLD, 1), ("torch", "import torch\n", 3)],
)
def test_exit_code_says_whether_there_are_releases_for_every_program(
    requirement: str, code: str, exit_code: int, tmp_path: Path, doctor: Callable[..., Ran]
) -> None:
    (tmp_path / "train.py").write_text(code, encoding="utf-8")
    (tmp_path / "requirements.txt").write_text(f"{requirement}\n", encoding="utf-8")
    ran = doctor("needs", "--format", "json", cwd=tmp_path)
    report = json.loads(ran.out)
    assert (ran.code, report["exit_code"]) == (exit_code, exit_code)


def test_a_path_that_does_not_exist_is_wrong_usage(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    ran = doctor("needs", "nowhere", cwd=tmp_path)
    assert ran.code == 2
    assert "nowhere" in ran.err


def test_output_file_gets_the_report_and_the_terminal_shows_it_too(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text(OLD, encoding="utf-8")
    ran = doctor("needs", "--output", "needs.txt", cwd=tmp_path)
    assert "peft 0.2.0 to 0.9.0" in (tmp_path / "needs.txt").read_text(encoding="utf-8")
    assert "Every program has releases" in ran.out
    assert ran.err == "The report is in needs.txt.\n"
