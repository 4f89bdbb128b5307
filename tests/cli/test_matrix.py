"""``vc2doctor matrix`` as a user runs it, on the shipped matrix."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from vc2doctor.curate.grid.cells import parse
from vc2doctor.matrix import load

Doctor = Callable[..., Ran]
EXAMPLE = ("torch=2.5.1", "transformers=4.57.3", "peft=0.11.1")


def test_explain_prints_the_verdict_first_and_then_its_reason(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", *EXAMPLE)
    assert ran.code == 0, ran.err
    assert re.match(r"^(verified|compatible): \S", ran.out)
    assert ran.out.split("Nearest measured:")[1].count("torch 2.") >= 3


def test_incompatible_versions_are_explained_with_sets_that_train(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "torch=2.13.0", "transformers=5.3.0", "peft=0.17.1")
    assert ran.out.startswith("incompatible: ")
    assert "HybridCache" in ran.out
    assert "pip install " in ran.out.split("Smallest change:")[1]


def test_verdict_depends_on_the_recipe(doctor: Doctor) -> None:
    words = ("torch=2.13.0", "transformers=4.40.1", "peft=0.10.0")
    assert doctor("matrix", "explain", *words).out.startswith("verified: ")
    ran = doctor("matrix", "explain", *words, "--precision", "fp16-unscaled")
    assert ran.out.startswith("incompatible: ")
    assert "poisoned" in ran.out


def test_packages_that_are_not_named_are_listed_as_possible_conflicts(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "peft=0.14.0")
    assert ran.out.startswith("unverified: No version of torch and transformers was named")
    assert re.search(r"with transformers <=4\.42\.4: .*EncoderDecoderCache", ran.out)


def test_release_newer_than_the_evidence_is_unverified(doctor: Doctor) -> None:
    assert doctor("matrix", "explain", "torch=3.0.0", *EXAMPLE[1:]).out.startswith("unverified: torch 3.0.0 is newer")


@pytest.mark.parametrize("words", [("torch",), ("torch=x",), ()])
def test_words_that_are_not_versions_end_with_2(doctor: Doctor, words: tuple[str, ...]) -> None:
    ran = doctor("matrix", "explain", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_json_answer_has_verdict_and_combination(doctor: Doctor) -> None:
    answer = json.loads(doctor("matrix", "explain", *EXAMPLE, "--format", "json").out)
    assert answer["judgement"]["verdict"] in {"verified", "compatible"}
    assert answer["combination"]["torch"] == "2.5.1"


def test_batch_judges_thousands_of_combinations_quickly(doctor: Doctor, tmp_path: Path) -> None:
    releases = load.load(load.shipped()).verdicts.releases
    lines = [
        json.dumps({"torch": torch, "transformers": transformers, "peft": peft})
        for torch in ("2.13.0", "2.5.1")
        for transformers in releases["transformers"][::2]
        for peft in releases["peft"][::3]
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    start_time = time.monotonic()
    ran = doctor("matrix", "explain", "--batch", str(path))
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert len(answers) == len(lines) > 1500
    assert {answer["verdict"] for answer in answers} >= {"verified", "compatible", "incompatible"}
    assert time.monotonic() - start_time < 60, "it takes a second on a machine without other load"


def test_table_fits_100_columns(doctor: Doctor) -> None:
    ran = doctor("matrix", "show", "--torch", "2.13.0")
    assert ran.code == 0, ran.err
    assert max(map(len, ran.out.splitlines())) <= 100
    assert {"✓", "✗"} <= set(ran.out)
    assert "torch 2.13.0" in ran.out


def test_html_page_is_self_contained(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    assert doctor("matrix", "export", "--torch", "2.13.0", "--output", str(path)).code == 0
    text = path.read_text()
    assert text.lstrip().startswith("<!DOCTYPE html>")
    assert "http" not in text
    assert "4.57" in text


def test_export_as_json_has_one_entry_per_column(doctor: Doctor) -> None:
    (table,) = json.loads(doctor("matrix", "export", "--format", "json", "--torch", "2.13.0").out)["tables"]
    assert table["torch"] == "2.13.0"
    assert all(len(row["entries"]) == len(table["columns"]) for row in table["rows"])


def test_plan_prints_lines_that_the_grid_reads(doctor: Doctor) -> None:
    ran = doctor("matrix", "plan", "--cells", "3", "--torch", "2.12.0")
    assert ran.code == 0, ran.err
    for line in ran.out.splitlines():
        assert parse(line.partition("#")[0]).cell.torch == "2.12.0"


def test_compile_check_detects_missing_verdicts_and_writes_nothing(doctor: Doctor, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    shutil.copytree(load.shipped(), copy)
    assert doctor("matrix", "compile", "--check", "--matrix", str(copy)).code == 0
    (copy / "verdicts.json").unlink()
    ran = doctor("matrix", "compile", "--check", "--matrix", str(copy))
    assert (ran.code, "not current" in ran.out) == (1, True)
    assert not (copy / "verdicts.json").exists()
    assert doctor("matrix", "compile", "--matrix", str(copy)).code == 0
    assert (copy / "verdicts.json").read_text() == (load.shipped() / "verdicts.json").read_text()


def test_verdicts_of_changed_evidence_are_refused_until_compiled(doctor: Doctor, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    shutil.copytree(load.shipped(), copy)
    for path in (copy / "evidence").glob("*.jsonl"):
        path.unlink()
    ran = doctor("matrix", "explain", *EXAMPLE, "--matrix", str(copy))
    assert (ran.code, ran.out) == (2, "")
    assert f"run: vc2doctor matrix compile --matrix {copy}" in ran.err
    assert doctor("matrix", "compile", "--matrix", str(copy)).code == 0
    ran = doctor("matrix", "explain", *EXAMPLE, "--matrix", str(copy))
    assert ran.out.startswith("unverified: The matrix holds no measurement")


def test_contradictory_evidence_ends_with_2(doctor: Doctor, tmp_path: Path) -> None:
    copy = tmp_path / "m"
    shutil.copytree(load.shipped(), copy)
    lines = (copy / "evidence" / "cells.jsonl").read_text().splitlines()
    line = json.loads(next(line for line in lines if '"adapter":"same"' in line))
    line["cell"].update(transformers="5.3.0", peft="0.17.0")
    (copy / "evidence" / "wrong.jsonl").write_text(json.dumps(line) + "\n")
    ran = doctor("matrix", "compile", "--matrix", str(copy))
    assert ran.code == 2
    assert "these statements contradict measurements" in ran.err
    assert "HybridCache" in ran.err


def test_update_refuses_to_use_the_network_without_index_option(doctor: Doctor) -> None:
    assert doctor("matrix", "update").code == 2
