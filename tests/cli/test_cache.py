"""Kept answers of ``check``, ``gate`` and ``probe``, as a user meets them: real files, real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ON_PAPER, Ran, make_venv, run_doctor, variables_of_doctor
from tests.project import Project

LOOP = """\
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("nosuch", torch_dtype=torch.bfloat16)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
for batch in loader:
    loss = model(**batch).loss
    loss.backward()
    optimizer.step()
"""


class Machine(Project):
    """A project, and a cache."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, LOOP)
        self.variables: dict[str, str] = {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HF_HOME": str(folder / "huggingface"),
            "HOME": str(folder),
        }

    @property
    def answers(self) -> list[Path]:
        folder = self.folder / "cache" / "vc2doctor" / "answers"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    @property
    def options(self) -> tuple[str, ...]:
        return (*ON_PAPER, "--python", self.venv.python)

    def check(self, *options: str, **variables: str) -> Ran:
        words = (*self.options, "--code", "train.py", *options)
        return run_doctor("check", *words, cwd=self.work, **{**self.variables, **variables})

    def is_kept(self, *options: str, **variables: str) -> bool:
        """Check again, and return whether the answer was a kept one."""
        ran = self.check("--format", "json", *options, **variables)
        return json.loads(ran.out)["kept"] is not None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_second_check_is_answered_from_the_cache_and_says_so(machine: Machine) -> None:
    first = machine.check()
    second = machine.check()
    assert first.code == second.code
    assert "From cache" not in first.out
    kept = next(line for line in second.out.splitlines() if "From cache" in line)
    assert "examined " in kept
    assert "nothing that the answer depends on has changed since. --fresh examines again." in kept
    others = [line for line in second.out.splitlines() if line != kept]
    assert others == first.out.splitlines()
    assert len(machine.answers) == 1


def test_fresh_examines_again_and_replaces_the_answer(machine: Machine) -> None:
    assert not machine.is_kept()
    before = machine.answers[0].stat().st_mtime_ns
    assert not machine.is_kept("--fresh")
    assert machine.answers[0].stat().st_mtime_ns > before
    assert machine.is_kept()


def test_bytecode_and_the_report_itself_change_nothing(machine: Machine) -> None:
    output = ("--output", "report.json", "--output", "report.md")
    machine.is_kept(*output)
    bytecode = machine.venv.packages / "torch" / "__pycache__"
    bytecode.mkdir()
    (bytecode / "__init__.cpython-311.pyc").write_bytes(b"x")
    assert machine.is_kept(*output)
    assert "From the cache: examined at" in (machine.work / "report.md").read_text(encoding="utf-8")


def test_what_says_nothing_for_sure_is_not_kept(machine: Machine) -> None:
    (machine.venv.packages / "sitecustomize.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    assert machine.check().code == 3
    assert machine.answers == []


def test_unfit_is_kept(machine: Machine, tmp_path: Path) -> None:
    machine.venv = make_venv(tmp_path / "empty")
    assert not machine.is_kept()
    ran = machine.check()
    assert ran.code == 1
    assert "From cache" in ran.out


def test_a_check_that_is_as_quick_as_its_kept_answer_keeps_none(machine: Machine) -> None:
    words = ("--no-probe", "--python", machine.venv.python)
    ran = run_doctor("check", *words, cwd=machine.work, **machine.variables)
    assert ran.code == 3, ran.err
    assert machine.answers == []


def test_change_during_the_examination_keeps_no_answer(machine: Machine) -> None:
    source = (
        "import pathlib, sys\n"
        "if any('describe_environment' in word for word in sys.orig_argv):\n"
        f"    pathlib.Path({str(machine.work / 'train.py')!r}).write_text('import torch\\n')\n"
    )
    (machine.venv.packages / "sitecustomize.py").write_text(source, encoding="utf-8")
    machine.check()
    assert machine.answers == []


def test_eight_runs_at_once_give_one_answer_and_leave_one_file(machine: Machine) -> None:
    words = (*machine.options, "--code", "train.py", "--format", "json")
    command = [sys.executable, "-m", "vc2doctor", "check", *words]
    variables = variables_of_doctor(**machine.variables)
    started = [
        subprocess.Popen(command, cwd=machine.work, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=300) for process in started]
    reports = [json.loads(out) for out, _ in ended]
    assert {process.returncode for process in started} == {reports[0]["exit_code"]}, ended
    for report in reports:
        del report["seconds"], report["kept"]
    assert all(report == reports[0] for report in reports)
    assert len(machine.answers) == 1
    assert machine.is_kept()


def test_configuration_that_only_the_examination_found_counts(machine: Machine) -> None:
    config = machine.folder / "model" / "config.json"
    config.parent.mkdir()
    config.write_text('{"model_type": "llama"}', encoding="utf-8")
    code = LOOP.replace("nosuch", str(config.parent))
    (machine.work / "train.py").write_text(code, encoding="utf-8")
    assert [machine.is_kept(), machine.is_kept()] == [False, True]
    config.write_text('{"model_type": "mamba"}', encoding="utf-8")
    assert [machine.is_kept(), machine.is_kept()] == [False, True]


def test_gate_uses_its_own_answers(machine: Machine) -> None:
    (machine.work / "train.py").write_text("print('ran')\n", encoding="utf-8")

    def gate(*words: str, **variables: str) -> dict[str, Any]:
        options = (*machine.options, "--output", "report.json", "--", machine.venv.python, "train.py", *words)
        ran = run_doctor("gate", *options, cwd=machine.work, **{**machine.variables, **variables})
        assert ran.out == "ran\n", ran.err
        report: dict[str, Any] = json.loads((machine.work / "report.json").read_text(encoding="utf-8"))
        assert ("From cache" in ran.err) == (report["kept"] is not None)
        return report

    assert gate()["kept"] is None
    kept = gate()
    assert kept["kept"] is not None
    assert kept["gate"]["decision"] == "run"
    assert gate("--bf16", "True")["kept"] is None
    config = machine.work / "run.yaml"
    config.write_text("bf16: true\n", encoding="utf-8")
    assert gate("--config", "run.yaml")["kept"] is None
    assert gate("--config", "run.yaml")["kept"] is not None
    config.write_text("bf16: false\n", encoding="utf-8")
    assert gate("--config", "run.yaml")["kept"] is None
    (machine.work / "train.py").write_text("print('ran')  # changed\n", encoding="utf-8")
    assert gate()["kept"] is None


def test_probe_is_answered_from_the_cache_unless_it_is_of_the_user_s_own_function(
    machine: Machine, tmp_path: Path
) -> None:
    # Each probe leaves a line: a kept answer is one without.
    sign = tmp_path / "imports"
    machine.venv = make_venv(tmp_path / "failing")
    machine.venv.add_stack(torch=f"open({str(sign)!r}, 'a').write('imported\\n')\nraise ImportError('no')")
    (machine.work / "own.py").write_text("def build(): ...\n", encoding="utf-8")

    def is_kept(*options: str) -> bool:
        before = sign.read_text(encoding="utf-8") if sign.exists() else ""
        words = ("probe", "--python", machine.venv.python, "--device", "cpu", *options)
        ran = run_doctor(*words, cwd=machine.work, **machine.variables)
        assert ran.code == 1, ran.err
        assert ("From cache" in ran.out) == (sign.read_text(encoding="utf-8") == before)
        return "From cache" in ran.out

    assert [is_kept(), is_kept(), is_kept("--fresh"), is_kept("--seed", "1"), is_kept()] == [
        *(False, True),
        *(False, False, True),
    ]
    own = ("--entry", "own.py:build")
    assert [is_kept(*own), is_kept(*own)] == [False, False]
