"""The commands for training code, as a user runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ON_PAPER, Ran, Venv
from vc2doctor.linter import rules

PROJECT = Path(__file__).parents[1] / "linter" / "fixtures" / "project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the fixture project."""
    return Path(shutil.copytree(PROJECT, tmp_path / "project"))


def test_report_starts_with_the_diagnosis_and_names_every_place(project: Path, doctor: Callable[..., Ran]) -> None:
    ran = doctor("lint", "project", cwd=project.parent)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert "project is half way to bfloat16" in lines[2].replace("this project", "project")
    assert "project/models/base.py:12" in lines[3]
    for place in ("models/it_mistral.py:23", "configs/stage3.py:18", "tasks/shared_utils.py:16"):
        assert f"project/{place}" in ran.out
    assert "started by tasks/train_it_ds.py (scripts/run_stage4.sh:1): the region around it is bfloat16" in ran.out
    assert "vc2doctor lint --precision bf16 --fix --diff project" in ran.out
    assert lines[-1].startswith("✗ ")


def test_json_report_has_all_findings_in_a_stable_order(project: Path, doctor: Callable[..., Ran]) -> None:
    reports = [json.loads(doctor("lint", "--format", "json", cwd=project).out) for _ in range(2)]
    first, second = ({**report, "seconds": 0} for report in reports)
    assert first == second
    assert first["schema"] == 2
    assert first["exit_code"] == 1
    assert first["root"] == "."
    ranks = [("error", "warning", "note").index(finding["severity"]) for finding in first["findings"]]
    assert ranks == sorted(ranks)
    assert all("bf16" not in finding and "safe" not in finding for finding in first["findings"])


def test_diff_is_a_patch_that_gives_the_same_files_as_the_fix(project: Path, doctor: Callable[..., Ran]) -> None:
    ran = doctor("lint", "--precision", "bf16", "--fix", "--diff", cwd=project)
    assert ran.code == 0
    copy = Path(shutil.copytree(project, project.parent / "copy"))
    (copy / "p.diff").write_text(ran.out, encoding="utf-8")
    subprocess.run(["git", "apply", "p.diff"], cwd=copy, check=True)  # noqa: S607
    (copy / "p.diff").unlink()
    fixed = doctor("lint", "--precision", "bf16", "--fix", cwd=project)
    assert "Fixed" in fixed.out
    assert "vc2doctor check --require gpu --code ." in fixed.out
    for path in project.rglob("*.py"):
        assert path.read_bytes() == (copy / path.relative_to(project)).read_bytes()
    assert doctor("lint", "--precision", "bf16", "--diff", cwd=project).code == 0


def test_names_are_judged_by_what_is_installed(tmp_path: Path, doctor: Callable[..., Ran], venv: Venv) -> None:
    venv.add("transformers", "4.40.1")
    code = tmp_path / "train.py"
    code.write_text("from transformers import AdamW\n\nAdamW([])\n", encoding="utf-8")
    assert "transformers.AdamW" in doctor("lint", "--select", "VC117", str(code)).out
    assert "transformers.AdamW" not in doctor("lint", "--select", "VC117", "--python", venv.python, str(code)).out
    assert doctor("lint", "--python", str(tmp_path / "none"), str(code)).code == 2


def test_empty_patch_says_that_nothing_can_be_fixed(project: Path, doctor: Callable[..., Ran]) -> None:
    doctor("lint", "--precision", "bf16", "--fix", cwd=project)
    doctor("lint", "--fix", cwd=project)
    ran = doctor("lint", "--fix", "--diff", cwd=project)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("Nothing can be fixed automatically, so there is no patch.")
    assert "must be fixed by hand" in ran.err


def test_baseline_and_reports_of_the_doctor_are_no_configurations(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text(FLOAT16_LOOP, encoding="utf-8")
    (tmp_path / "ds.json").write_text('{"fp16": {"enabled": false}}', encoding="utf-8")
    doctor("lint", "--baseline", "b.json", "--update-baseline", "--output", "r.json", cwd=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"b.json", "r.json"}
    ran = doctor("lint", "--baseline", "b.json", cwd=tmp_path)
    assert "  Read: 1 Python file, 1 configuration.\n" in ran.out
    assert "  Baseline      1 finding is hidden by b.json: VC104 train.py:6\n" in ran.out


FLOAT16_LOOP = """import torch

for batch in loader:
    with torch.autocast("cuda", dtype=torch.float16):
        loss = model(batch)
    loss.backward()
    optimizer.step()
    torch.isfinite(loss)
"""
BOTH_FLAGS = """import argparse
from transformers import Trainer, TrainingArguments

parser = argparse.ArgumentParser()
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--steps", type=int)
args = parser.parse_args()
trainer = Trainer(model=None, args=TrainingArguments("out", max_steps=args.steps, bf16=args.bf16, fp16=True))
trainer.train()
"""
"""A contradiction that no single edit resolves, because only the author knows which flag is meant."""


def test_fix_without_an_edit_names_what_is_left_for_the_hand(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text(BOTH_FLAGS, encoding="utf-8")
    (tmp_path / "run.sh").write_text("python train.py --bf16\n", encoding="utf-8")
    ran = doctor("lint", "--fix", cwd=tmp_path)
    assert "  Nothing can be fixed automatically. Fix VC106 by hand.\n" in ran.out
    assert "Nothing to fix." not in ran.out
    (tmp_path / "train.py").write_text("for x in y:\n    loss(x).backward()\n    isnan(x)\n", encoding="utf-8")
    assert "  Nothing to fix.\n" in doctor("lint", "--fix", cwd=tmp_path).out


def test_switch_names_the_option_that_it_leaves_without_a_reader(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text(BOTH_FLAGS, encoding="utf-8")
    ran = doctor("lint", "--precision", "bf16", "--fix", cwd=tmp_path)
    assert "train.py:5: --bf16 has no effect any more, because the code sets bfloat16 itself." in ran.out
    assert "--steps has no effect" not in ran.out


def test_switch_of_code_that_passes_all_options_on_leaves_none_without_a_reader(
    tmp_path: Path, doctor: Callable[..., Ran]
) -> None:
    text = BOTH_FLAGS.replace("trainer.train()", "trainer.train(**vars(args))")
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    ran = doctor("lint", "--precision", "bf16", "--fix", cwd=tmp_path)
    assert "Fixed 1 file" in ran.out
    assert "has no effect" not in ran.out


def test_command_after_a_fix_examines_the_same_environment_and_code(
    tmp_path: Path, doctor: Callable[..., Ran], venv: Venv
) -> None:
    (tmp_path / "train.py").write_text(BOTH_FLAGS, encoding="utf-8")
    ran = doctor("lint", "--python", venv.python, "--precision", "bf16", "--fix", "train.py", cwd=tmp_path)
    assert f"vc2doctor check --require gpu --python {venv.python} --code train.py\n" in ran.out


def test_fail_on_output_and_select_are_respected(project: Path, doctor: Callable[..., Ran]) -> None:
    doctor("lint", "--precision", "bf16", "--fix", cwd=project)
    doctor("lint", "--fix", cwd=project)
    assert doctor("lint", cwd=project).code == 0
    assert doctor("lint", "--fail-on", "warning", cwd=project).code == 1
    ran = doctor("lint", "--output", "out.txt", "--select", "VC105", cwd=project)
    assert ran.out.startswith("vc2doctor")
    assert "VC105" in (project / "out.txt").read_text(encoding="utf-8")
    assert "VC109" not in (project / "out.txt").read_text(encoding="utf-8")


def test_code_in_which_no_rule_fires_ends_with_0_and_says_what_was_read(
    tmp_path: Path, doctor: Callable[..., Ran]
) -> None:
    (tmp_path / "train.py").write_text("for x in y:\n    loss(x).backward()\n    isnan(x)\n", encoding="utf-8")
    ran = doctor("lint", cwd=tmp_path)
    assert ran.code == 0
    assert "  Read: 1 Python file.\n  Programs that train: train.py.\n" in ran.out
    assert ran.out.endswith("- No rule fired on the code above.\n")


NOT_JUDGED: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "all rules ignored": ({"train.py": "loss.backward()\n"}, ("--ignore", "VC1"), "No rule ran,"),
    "no code": ({"config.yml": "fp16: true\n"}, (), "Nothing in these files trains a model"),
    "code that does not train": ({"a.py": "import torch\n"}, (), "Nothing in these files trains a model"),
    "a file of an unknown kind": ({"environment.lock": "torch\n"}, ("environment.lock",), "Nothing in these files"),
    "only a copy of a library": ({"vendor/train.py": "loss.backward()\n"}, (), "Nothing in these files trains"),
    "a file that cannot be read": ({"train.py": "loss.backward(\n"}, (), "Nothing in these files trains a model"),
}


@pytest.mark.parametrize("case", NOT_JUDGED)
def test_what_was_not_judged_is_no_success(case: str, tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    files, arguments, reason = NOT_JUDGED[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ran = doctor("lint", *arguments, cwd=tmp_path)
    assert ran.code == 0
    assert ran.out.startswith(f"! Not judged. {reason}")
    assert ran.out.splitlines()[-1].startswith("! Not judged.")
    ran = doctor("lint", *arguments, "--format", "json", "--fail-on", "note", cwd=tmp_path)
    report = json.loads(ran.out)
    assert report["verdict"] == "not-judged"
    assert reason in report["coverage"]["not_judged"][0]
    assert ran.code == 1


def test_counts_of_the_verdict_are_those_of_the_printed_findings(project: Path, doctor: Callable[..., Ran]) -> None:
    ran = doctor("lint", cwd=project)
    totals = json.loads(doctor("lint", "--format", "json", cwd=project).out)["totals"]
    marks = [line.split()[0] for line in ran.out.splitlines()[:-1] if re.match(r"  [✗!·] VC\d{3} ", line)]
    assert [marks.count(mark) for mark in "✗!·"] == [totals["errors"], totals["warnings"], totals["notes"]]
    assert len(re.findall(r"^    +1\. ", ran.out, re.MULTILINE)) == totals["diagnoses"] == 1
    numbers = [int(number) for number in re.findall(r"\d+", ran.out.splitlines()[-1])]
    assert numbers == [totals[name] for name in ("diagnoses", "errors", "warnings", "notes")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "there is no such file or folder"),
        ((".",), "there is no code, configuration or script to read"),
        (("--select", "VC999"), "there is no rule 'VC999'"),
        (("--precision", "bf16"), "--precision says what --fix"),
        (("--precision", "fp16"), "'fp16' is not"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_message(
    arguments: tuple[str, ...], message: str, doctor: Callable[..., Ran]
) -> None:
    ran = doctor("lint", *arguments)
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize("id_", ["VC103", "vc103"])
def test_explain_and_rule_print_the_page_of_a_rule(id_: str, doctor: Callable[..., Ran]) -> None:
    assert doctor("rule", id_).out.strip() == rules.pages()["VC103"]
    assert doctor("explain", id_).out.strip() == rules.pages()["VC103"]


def test_unknown_rule_ends_with_2_and_offers_few_near_names(doctor: Callable[..., Ran]) -> None:
    ran = doctor("rule", "VC1033")
    assert ran.code == 2
    assert "Did you mean VC103 or VC033?" in ran.err
    assert ran.err.count("VC1") == 2, "not a list of all"
    assert "Did you mean" not in doctor("rule", "VC999").err, "no id is near"


def test_table_of_settings_with_a_wrong_name_is_a_warning(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    (tmp_path / "train.py").write_text("import torch\n")
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctr]\nprecision = 'bf16'\n")
    for ran in (doctor("lint", cwd=tmp_path), doctor("check", "--no-probe", "--python", sys.executable, cwd=tmp_path)):
        assert "nothing reads [tool.vc2doctr]" in ran.out, ran.err


def test_check_lints_the_code_and_its_precision_decides(project: Path, doctor: Callable[..., Ran], venv: Venv) -> None:
    venv.add_stack()
    arguments = ("check", *ON_PAPER, "--python", venv.python, "--code", "project", "--format", "json")
    before = json.loads(doctor(*arguments, cwd=project.parent).out)
    assert before["plan"]["precision"] == "bf16-in-fp16-autocast"
    assert before["plan"]["code_recipes"]["tasks/train_it.py"] == "fp16-scaled"
    assert before["verdict"] == "unfit"
    (diagnosis,) = [finding for finding in before["findings"] if "half way to bfloat16" in finding["message"]]
    assert diagnosis["path"] == "project/models/base.py"
    assert any("project/tasks/shared_utils.py:16" in line for line in diagnosis["evidence"])
    doctor("lint", "--precision", "bf16", "--fix", "project", cwd=project.parent)
    after = json.loads(doctor(*arguments, cwd=project.parent).out)
    assert after["plan"]["precision"] == "bf16"
    assert {finding["id"] for finding in after["findings"]} & {"VC101", "VC102", "VC103", "VC106"} == set()
    with_precision = json.loads(doctor(*arguments, "--precision", "fp32", cwd=project.parent).out)
    assert with_precision["plan"]["precision"] == "fp32"


def test_dtype_of_adapters_follows_the_installed_peft(project: Path, doctor: Callable[..., Ran], venv: Venv) -> None:
    """The project pins peft 0.4.0 with float32 adapters. The installed 0.10.0 makes them in the dtype of the base."""
    assert "VC109 error" not in doctor("lint", cwd=project).out
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, "--code", "project", cwd=project.parent)
    assert "peft 0.10.0 makes adapters float16 like the base" in ran.out


def test_default_file_of_accelerate_is_read_on_request_only(
    tmp_path: Path, doctor: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.sh").write_text(
        "accelerate launch a.py --bf16 True --output_dir o --num_train_epochs 1\n", encoding="utf-8"
    )
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    ran = doctor("lint", "--user-config", cwd=tmp_path)
    assert ran.code == 2
    assert "default_config.yaml" in ran.err
    (tmp_path / "home" / "accelerate").mkdir(parents=True)
    default = tmp_path / "home" / "accelerate" / "default_config.yaml"
    default.write_text("compute_environment: LOCAL_MACHINE\nmixed_precision: fp16\n", encoding="utf-8")
    asked = doctor("lint", "--user-config", "--fail-on", "warning", "run.sh", cwd=tmp_path)
    assert asked.code == 1
    assert "accelerate is told fp16, and the trainer bf16" in asked.out
    assert doctor("lint", "--fail-on", "warning", "run.sh", cwd=tmp_path).code == 0
