"""The options of ``vc2doctor probe`` and ``headroom``: wrong usage ends with 2, before anything is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Ran, Venv
from vc2doctor.cli.main import main
from vc2doctor.commands import probe
from vc2doctor.commands.probe import DataError

Doctor = Callable[..., Ran]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_text_file_has_one_text_per_line(tmp_path: Path) -> None:
    assert probe.texts(write(tmp_path, "x.txt", "one\n\n  \ntwo {json}\n")) == ("one", "two {json}")


def test_json_lines_file_has_one_object_per_line(tmp_path: Path) -> None:
    path = write(tmp_path, "x.jsonl", '\ufeff{"text": "one\\ntwo"}\n\n{"text": "three", "id": 7}\n')
    assert probe.texts(path) == ("one\ntwo", "three")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"text": "a"}\n{"text"}\n', "x.jsonl:2: not JSON"),
        ("x.jsonl", '{"prompt": "a"}\n', "x.jsonl:1: has no string under the key 'text'"),
        ("x.jsonl", '{"text": 7}\n', "x.jsonl:1: has no string under the key 'text'"),
        ("x.jsonl", "[]\n", "x.jsonl:1: has no string under the key 'text'"),
        ("x.txt", "\n \n", "x.txt: holds no text"),
    ],
)
def test_wrong_line_of_a_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        probe.texts(write(tmp_path, name, text))


def test_file_that_is_not_utf_8_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot be read"):
        probe.texts(path)


def test_long_file_is_cut_to_64_texts(tmp_path: Path) -> None:
    assert len(probe.texts(write(tmp_path, "x.txt", "line\n" * 1000))) == 64


@given(st.binary(max_size=200))
def test_any_file_gives_texts_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("data") / "x.jsonl"
    path.write_bytes(data)
    try:
        texts = probe.texts(path)
    except DataError as error:
        texts = (str(error),)
    assert texts
    assert all(isinstance(text, str) for text in texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--entry", "mine"), "'mine' is not MODULE:FUNCTION"),
        (("--entry", ":build"), "':build' is not MODULE:FUNCTION"),
        (("--entry", "nowhere/train.py:build"), "there is no file nowhere/train.py. Check the path before the colon."),
        (("--entry", "a:b", "--model", "."), "--entry and --model exclude each other"),
        (("--text", "Hello."), "pass it with --model"),
        (("--train",), "pass it with --model"),
        (("--stress", "--entry", "a:b"), "--stress plants outliers in the miniature"),
        (("--recipes", "bf16,bf17"), "there is no recipe bf17"),
        (("--model", "/nowhere"), "'/nowhere' does not exist"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--attention", "sdpa,magic"), "there is no attention code magic; choose from eager, sdpa"),
        (("--rl", "--entry", "a:b"), "--rl needs a language model"),
        (("--compile", "--model", "."), "need training: pass --train"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_message(doctor: Doctor, options: tuple[str, ...], message: str) -> None:
    ran = doctor("probe", *options)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())
    assert ran.out == ""


def test_entry_in_a_folder_that_is_called_like_a_file_is_refused(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "train.py").mkdir()
    ran = doctor("probe", "--entry", f"{tmp_path / 'train.py'}:build")
    assert (ran.code, ran.out) == (2, "")
    assert "train.py is not a regular file. Check the path before the colon." in " ".join(ran.err.split())


def test_wrong_file_of_texts_ends_with_2(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    path = write(tmp_path, "mine.jsonl", "nonsense")
    ran = doctor("probe", "--python", venv.python, "--model", str(tmp_path), "--data", str(path))
    assert ran.code == 2
    assert ran.err.startswith("vc2doctor: ")
    assert "mine.jsonl:1: not JSON" in ran.err


def test_headroom_prints_the_published_value_of_a_known_model(doctor: Doctor) -> None:
    ran = doctor("headroom", "Gemma", "3", "27B")
    assert ran.code == 0
    assert "-3.4 bits, float16 overflows" in ran.out
    assert "https://arxiv.org/abs/2605.15572" in ran.out
    assert len(doctor("headroom").out.splitlines()) >= 27


def test_headroom_of_an_unknown_model_says_how_to_measure_it(doctor: Doctor) -> None:
    ran = doctor("headroom", "my-own-model")
    assert ran.code == 2
    assert "vc2doctor probe --model PATH" in ran.err


def test_bug_of_the_doctor_ends_with_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def raise_error(*_: object) -> None:
        message = "a bug"
        raise ValueError(message)

    monkeypatch.setattr("vc2doctor.commands.probe.examine", raise_error)
    monkeypatch.setattr(sys, "argv", ["vc2doctor", "probe"])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 3
    assert "this is a bug of the doctor" in capsys.readouterr().err
