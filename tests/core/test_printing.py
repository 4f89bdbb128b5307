"""Text of any source is made printable, and commands can be pasted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from vc2doctor.core import shell
from vc2doctor.core.data import Data, with_texts
from vc2doctor.core.printing import (
    escaped_json,
    is_printable,
    printable,
    printable_patch,
    without_surrogates,
    without_workflow_commands,
)
from vc2doctor.findings import Severity

HOSTILE = "a\x1b[31mb\x07\rc\x9b1m\u202ed\u2028e\udcfff\0"
"""Escape sequences of one and two bytes, a return, a change of direction, a line separator, and a byte of no text."""


def test_only_line_breaks_and_tabs_are_left_of_control_characters() -> None:
    assert printable(HOSTILE) == "a�[31mb��c�1m�d�e�f�"
    assert printable("é ✓\n\t日本 \N{NO-BREAK SPACE}x") == "é ✓\n\t日本 \N{NO-BREAK SPACE}x"
    assert not is_printable("a\n")
    assert is_printable("é ✓")


def test_patch_keeps_what_git_needs() -> None:
    assert printable_patch("-a\r\n+b\x0c\r\n+c\rd\x1b") == "-a\r\n+b\x0c\r\n+c�d�"


def test_json_keeps_its_value() -> None:
    value = {"a": HOSTILE.replace("\udcff", ""), "b\u009b": "\U000e0001é"}
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == value
    assert printable(text) == text
    assert "é" in text


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert without_surrogates("nu\udcff") == "nu\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "word", ["a b", "$(touch x)", "it's", "-x", "", "é", "a\nb", "\x1b[31m", "nu\udcff2", "a\\'\t", "`x`;&|*?~!#"]
)
def test_quoted_word_is_the_same_word_for_a_shell_and_printable(word: str) -> None:
    command = shell.join(["printf", "%s", word])
    assert is_printable(command)
    ran = subprocess.run(["/bin/bash", "-c", command], capture_output=True, check=True)
    assert ran.stdout.decode("utf-8", "surrogateescape") == word


class Inner(Data):
    """Data of a test."""

    name: str
    severity: Severity = Severity.ERROR


class Outer(Data):
    """Data of a test."""

    inner: tuple[Inner, ...]
    by_name: dict[str, Path]
    number: int | None = None


def test_texts_of_data_are_changed_at_any_depth() -> None:
    outer = Outer(inner=(Inner(name="a"),), by_name={"a": Path("/a")}, number=1)
    changed = with_texts(outer, lambda text: text.replace("a", "b"))
    assert changed == Outer(inner=(Inner(name="b"),), by_name={"b": Path("/b")}, number=1)
    assert outer.inner[0].name == "a"


def test_text_is_no_command_to_the_runner_of_github() -> None:
    text = "ok\n   ::add-mask::x\n::error::y\na ##[debug]z\nstd::vector # [1] torch::nn"
    shown = without_workflow_commands(text)
    assert shown == "ok\n   ��add-mask::x\n��error::y\na ��[debug]z\nstd::vector # [1] torch::nn"
    assert len(shown) == len(text)
