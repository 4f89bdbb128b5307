"""``vc2doctor matrix`` as a user runs it, on the shipped matrix."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Ran
from vc2doctor import api
from vc2doctor.commands.versions import judge_batch
from vc2doctor.curate.grid.cells import parse
from vc2doctor.matrix import load
from vc2doctor.remedies.question import Goal
from vc2doctor.report.terminal.lines import Marks, print_lines
from vc2doctor.report.terminal.matrix import render_answer

Doctor = Callable[..., Ran]
EXAMPLE = ("torch=2.5.1", "transformers=4.57.3", "peft=0.11.1")


def test_explain_prints_the_verdict_first_and_then_its_reason(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", *EXAMPLE)
    assert ran.code == 0, ran.err
    assert re.match(r"^(verified|compatible): \S", ran.out)
    assert ran.out.split("Nearest measured:")[1].count("torch 2.") >= 2
    assert re.search(r"^Matrix: measured up to 20\d\d-\d\d-\d\d, releases known up to 20", ran.out, re.MULTILINE)


def test_incompatible_versions_are_explained_with_sets_that_train(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "torch=2.13.0", "transformers=5.3.0", "peft=0.17.1")
    assert ran.code == 1
    assert ran.out.startswith("incompatible: ")
    assert "HybridCache" in ran.out
    assert ran.out.splitlines()[2].startswith("    pip install peft==")


def test_verdict_depends_on_the_recipe(doctor: Doctor) -> None:
    words = ("torch=2.13.0", "transformers=4.42.4", "peft=0.10.0")
    ran = doctor("matrix", "explain", *words)
    assert ran.out.startswith("compatible: Cell ")
    assert "not measured with these versions: transformers.Trainer" in ran.out, "an older line tried the loop only"
    ran = doctor("matrix", "explain", *words, "--precision", "fp16-unscaled")
    assert ran.out.startswith("incompatible: ")
    assert "poisoned" in ran.out


def test_packages_that_are_not_named_are_listed_as_possible_conflicts(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "peft=0.14.0")
    assert ran.out.startswith("unverified: No version of torch and transformers was named")
    assert ran.code == 3
    assert re.search(r"  transformers up to 4\.42\.4: .*EncoderDecoderCache", ran.out)


def test_one_package_that_is_not_named_is_answered_for_all_its_releases(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "transformers=4.44.0", "peft=0.15.0")
    assert (ran.code, ran.out.startswith("compatible: All ")) == (0, True)
    assert "releases of torch, which was not named" in ran.out
    ran = doctor("matrix", "explain", "torch=2.5.1", "transformers=4.40.0")
    assert ran.code == 3
    assert ran.out.startswith("unverified: It depends on peft, which was not named: of its ")
    assert "\n    'peft>=0.3.0,<=0.13.2'\n" in ran.out
    assert "In all releases of peft:" in ran.out


def test_change_that_is_advised_names_no_package_that_nobody_named(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "transformers=4.40.0", "peft=0.21.2")
    assert (ran.code, ran.out.splitlines()[2]) == (1, "    pip install peft==0.13.2")


def test_release_newer_than_the_evidence_is_unverified(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "torch=3.0.0", *EXAMPLE[1:])
    assert ran.code == 3
    assert ran.out.startswith("unverified: newer than measured: torch 3.0.0 (measured: 1.13.1 to ")
    assert re.search(r"with torch \S+, the newest measured, the verdict is compatible", ran.out)
    assert "The matrix is older than torch 3.0.0, or there is no such release." in ran.out


def test_what_is_not_judged_ends_the_first_line(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", *EXAMPLE, "nonsense=1.0")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "compatible; not judged: nonsense 1.0")
    answer = json.loads(doctor("matrix", "explain", *EXAMPLE, "nonsense=1.0", "--format", "json").out)
    assert answer["not_judged"] == {"nonsense": "1.0"}


def test_misspelled_name_ends_with_2_and_a_suggestion(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "torch=2.5.1", "transfomers=4.57.3", "peft=0.11.1")
    assert (ran.code, ran.out) == (2, "")
    assert "transfomers (did you mean transformers?)" in ran.err


def test_misspelled_name_in_a_file_ends_with_2_and_gives_the_line(doctor: Doctor, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"torch": "2.5.1"}\n{"torch": "2.5.1", "bitsandbyte": "0.45"}\n')
    ran = doctor("matrix", "explain", "--batch", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:2: the matrix does not judge bitsandbyte (did you mean bitsandbytes?)" in ran.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"torch": "2.13.0", "transformers": "4.40.1", "peft": "0.10.0"}', 0),
        ('{"torch": "2.13.0", "transformers": ">=4.40.1,<4.41", "peft": "0.10.0", "nonsense": "1"}', 0),
        ('{"torch": "3.0", "transformers": "4.40.1", "peft": "0.10.0"}', 3),
        ('{"torch": "3.0"}\n{"torch": "2.13.0", "transformers": "5.3.0", "peft": "0.17.1"}', 1),
    ],
)
def test_the_worst_verdict_of_a_file_decides_the_exit_code(tmp_path: Path, text: str, code: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    assert judge_batch(path, Goal(recipe="bf16")).exit_code == code


def test_a_file_without_a_combination_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n \n")
    with pytest.raises(api.DoctorError, match=r"a\.jsonl: the file holds no combination"):
        judge_batch(path, Goal(recipe="bf16"))


def test_answers_on_a_file_name_what_is_not_judged_and_what_is_newer_than_the_matrix(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"torch": "99.0", "transformers": "4.40.1", "peft": "", "nonsense": "1"}')
    answer = json.loads(judge_batch(path, Goal(recipe="bf16")).lines[0])
    assert answer["not_judged"] == {"nonsense": "1"}
    assert answer["newer_than_matrix"] == {"torch": "99.0"}
    assert set(answer["newest"]) == {"peft"}


def test_python_raises_the_same_error_and_gives_the_same_answer() -> None:
    with pytest.raises(api.DoctorError, match="did you mean transformers"):
        api.judge({"torch": "2.5.1", "transfomers": "4.57.3"})
    answer = api.judge({"torch": "2.5.1", "transformers": "4.57.3", "peft": "0.11.1", "nonsense": "1.0"})
    assert (answer.exit_code, answer.not_judged) == (0, {"nonsense": "1.0"})


def test_bare_names_are_judged_with_the_newest_releases(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", "torch==2.13.0", "transformers==4.57.6", "peft")
    assert ran.code == 0
    assert re.search(
        r"^  Judged with peft \S+, the newest that pip installs, because no version", ran.out, re.MULTILINE
    )


def test_a_range_is_answered_in_groups_and_the_worst_verdict_decides(doctor: Doctor) -> None:
    words = ("torch==2.5.1", "transformers>=4.40,<4.45", "peft==0.17.0")
    ran = doctor("matrix", "explain", *words)
    assert ran.code == 1
    assert ran.out.splitlines()[:6] == [
        "incompatible: Of the 19 combinations in the range, 16 do not train, 3 train",
        "  All of this trains:",
        "    'transformers>=4.44.0,<=4.44.2'",
        "",
        "In transformers>=4.40,<4.45:",
        "  ✓ compatible: transformers 4.44.0 to 4.44.2",
    ]
    assert doctor("matrix", "explain", words[0], "transformers>=4.44.0,<=4.44.2", words[2]).code == 0
    answer = json.loads(doctor("matrix", "explain", *words, "--format", "json").out)
    assert answer["groups"][0]["releases"] == {"transformers": [["4.44.0", "4.44.2"]]}
    assert answer["narrowed"] == ["transformers>=4.44.0,<=4.44.2"]


def test_ten_thousand_words_are_one_short_line(doctor: Doctor) -> None:
    ran = doctor("matrix", "explain", *(f"pkg{number}=={number}" for number in range(10_000)), *EXAMPLE)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "compatible; not judged: pkg0 0, pkg1 1, pkg2 2, pkg3 3 and 9996 more"


@pytest.mark.parametrize("width", [40, 80, 160])
def test_lines_fit_a_terminal_except_commands(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, no_color=True)
    answer = api.judge({"torch": "2.5.1", "transformers": ">=4.40,<4.45", "peft": "0.17.0", "nonsense": ""})
    print_lines(render_answer(answer, Marks(ascii_only=False)), console)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in file.getvalue().splitlines()]
    assert max(len(line) for line in lines if not line.startswith("    '")) <= width
    assert sum(map(len, lines)) > 500


@pytest.mark.parametrize("words", [("torch=",), ("torch==",), ("==1",), ("torch=x",), ("torch", "torch"), ("",), ()])
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
    assert ran.code == 1, "the worst verdict decides"
    assert len(answers) == len(lines) > 1500
    assert {answer["verdict"] for answer in answers} >= {"compatible", "incompatible", "unverified"}
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
    assert text.startswith("<!doctype html>")
    assert "http:" not in text
    assert "https:" not in text
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


@pytest.fixture
def small_matrix(tmp_path: Path) -> Path:
    """A copy of the shipped matrix with the measurements of the named cells alone, which compiles in a second."""
    copy = Path(shutil.copytree(load.shipped(), tmp_path / "m"))
    for path in (copy / "evidence").glob("*.jsonl"):
        if path.name != "cells.jsonl":
            path.unlink()
    return copy


def test_compile_check_detects_missing_verdicts_and_writes_nothing(doctor: Doctor, small_matrix: Path) -> None:
    (small_matrix / "verdicts.json").unlink()
    ran = doctor("matrix", "compile", "--check", "--matrix", str(small_matrix))
    assert (ran.code, "not current" in ran.out) == (1, True)
    assert not (small_matrix / "verdicts.json").exists()
    assert doctor("matrix", "compile", "--matrix", str(small_matrix)).code == 0
    before = (small_matrix / "verdicts.json").stat().st_mtime_ns
    assert doctor("matrix", "compile", "--check", "--matrix", str(small_matrix)).code == 0
    assert (small_matrix / "verdicts.json").stat().st_mtime_ns == before


def test_verdicts_of_changed_evidence_are_refused_until_compiled(doctor: Doctor, small_matrix: Path) -> None:
    (small_matrix / "evidence" / "cells.jsonl").unlink()
    ran = doctor("matrix", "explain", *EXAMPLE, "--matrix", str(small_matrix))
    assert (ran.code, ran.out) == (2, "")
    assert f"run: vc2doctor matrix compile --matrix {small_matrix}" in ran.err
    assert doctor("matrix", "compile", "--matrix", str(small_matrix)).code == 0
    ran = doctor("matrix", "explain", *EXAMPLE, "--matrix", str(small_matrix))
    assert ran.out.startswith("unverified: The matrix holds no measurement")


def test_contradictory_evidence_ends_with_2(doctor: Doctor, small_matrix: Path) -> None:
    lines = (small_matrix / "evidence" / "cells.jsonl").read_text().splitlines()
    line = json.loads(next(line for line in lines if '"adapter":"same"' in line))
    line["cell"].update(transformers="5.3.0", peft="0.17.0")
    (small_matrix / "evidence" / "wrong.jsonl").write_text(json.dumps(line) + "\n")
    ran = doctor("matrix", "compile", "--matrix", str(small_matrix))
    assert ran.code == 2
    assert "these statements contradict measurements" in ran.err
    assert "HybridCache" in ran.err


def test_update_refuses_to_use_the_network_without_index_option(doctor: Doctor) -> None:
    assert doctor("matrix", "update").code == 2


def test_the_door_decides_the_verdict(doctor: Callable[..., Ran]) -> None:
    versions = ("python=3.10", "torch=2.8.0", "transformers=5.5.0", "peft=0.18.1", "trl=0.19.1")
    assert doctor("matrix", "explain", *versions).code == 0
    dpo = doctor("matrix", "explain", *versions, "--door", "dpo")
    assert dpo.code == 1
    assert "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES" in dpo.out
    assert "trl==" in dpo.out


def test_the_model_type_decides_issues_of_single_models(doctor: Callable[..., Ran]) -> None:
    versions = ("python=3.12", "torch=2.8.0", "transformers=5.5.0", "peft=0.18.1", "--precision", "fp16-scaled")
    assert doctor("matrix", "explain", *versions, "--model-type", "llama").code == 0
    gemma = doctor("matrix", "explain", *versions, "--model-type", "gemma4")
    assert gemma.code == 1
    assert "Gemma" in gemma.out
