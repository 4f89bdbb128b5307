"""What is wrong with a command before anything is examined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Venv, make_venv
from vc2doctor.commands import command_line, preflight
from vc2doctor.environment.choice import environment_of


@pytest.fixture
def other(tmp_path: Path) -> Venv:
    return make_venv(tmp_path / "other")


def problem(named: str, words: list[str], folder: Path, path: str = "") -> str | None:
    command = command_line.read(words, folder, {"PATH": path})
    return preflight.other_interpreter(named, "--python", command, "python train.py", "vc2doctor gate")


def test_interpreters_of_one_venv_are_the_same_and_two_venvs_of_one_python_are_not(venv: Venv, other: Venv) -> None:
    python = Path(venv.python)
    assert environment_of(str(python.with_name("python3"))) == environment_of(venv.python)
    assert environment_of(other.python) != environment_of(venv.python)
    assert environment_of(str(python.resolve())) != environment_of(venv.python), "the venv's own base is not the venv"


def test_other_interpreter_is_named_with_both_commands(venv: Venv, other: Venv, tmp_path: Path) -> None:
    assert problem(venv.python, [venv.python, "train.py"], tmp_path) is None
    text = problem(venv.python, [other.python, "train.py"], tmp_path)
    assert text is not None
    assert f"--python names {venv.python}, but the command starts {other.python}" in text
    assert "leave out the interpreter: vc2doctor gate -- python train.py." in text
    assert f"To train in {venv.python}: vc2doctor gate -- {venv.python} train.py." in text


def test_launcher_of_the_named_environment_is_offered_if_it_has_one(venv: Venv, other: Venv, tmp_path: Path) -> None:
    for each in (venv, other):
        launcher = Path(each.python).with_name("torchrun")
        launcher.write_text(f"#!{each.python}\n", encoding="utf-8")
        launcher.chmod(0o755)
    starts_other = command_line.read(
        [str(Path(other.python).with_name("torchrun")), "train.py"], tmp_path, {"PATH": ""}
    )
    named = (venv.python, "--python", starts_other, "torchrun train.py", "vc2doctor gate")
    assert f"vc2doctor gate -- {Path(venv.python).with_name('torchrun')} train.py" in str(
        preflight.other_interpreter(*named)
    )
    Path(venv.python).with_name("torchrun").unlink()
    assert "activate its environment first" in str(preflight.other_interpreter(*named))


def test_shim_whose_interpreter_only_a_run_knows_is_no_contradiction(venv: Venv, tmp_path: Path) -> None:
    shim = tmp_path / "python"
    shim.write_text("#!/bin/sh\nexec somewhere/python\n", encoding="utf-8")
    shim.chmod(0o755)
    assert problem(venv.python, ["python", "train.py"], tmp_path, path=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("{python} trian.py", "there is no file trian.py in {folder}. Did you mean train.py?"),
        ("{python} nowhere/train.py", "there is no file train.py: there is no folder {folder}/nowhere."),
        ("env A=1 {python} trian.py", "there is no file trian.py in {folder}. Did you mean train.py?"),
        ("env -C elsewhere {python} trian.py", None),
        ("{python} train.py trian.py", None),
        ("{python} -m package.train", None),
        ("{python} -m package.train --config new.py", None),
        ("{python} -c pass new.py", None),
        (
            "{python} -m torch.distributed.run --nproc-per-node 2 trian.py",
            "there is no file trian.py in {folder}. Did you mean train.py?",
        ),
    ],
)
def test_only_a_file_that_the_command_itself_names_can_be_missing(
    venv: Venv, tmp_path: Path, words: str, missing: str | None
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text("", encoding="utf-8")
    split = [word.format(python=venv.python) for word in words.split()]
    command = command_line.read(split, work, {"PATH": "/usr/bin:/bin"})
    expected = None if missing is None else missing.format(folder=work)
    assert preflight.missing_program(command, split, work) == expected


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--config confg.yaml", "no file confg.yaml in {folder}, which --config names. Did you mean config.yaml?"),
        ("--config=confg.yaml", "no file confg.yaml in {folder}, which --config names. Did you mean config.yaml?"),
        ("--deepspeed ds.json", "no file ds.json in {folder}, which --deepspeed names."),
        ("train.config=confg.yaml", "no file confg.yaml in {folder}, which train.config names."),
        ("--config config.yaml", None),
        ("--config sub.yaml", None),
        ("--config ${CONFIG}.yaml", None),
        ("--config-name confg.yaml", None),
        ("--save-config new.yaml", None),
        ("--config-output new.yaml", None),
        ("--config llama3/8B_lora", None),
        ("--results new.json", None),
        ("new.json", None),
    ],
)
def test_configuration_that_a_command_only_reads_must_exist(
    venv: Venv, tmp_path: Path, words: str, problem: str | None
) -> None:
    for name in ("train.py", "config.yaml", "conf/sub.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    command = command_line.read([venv.python, "train.py", *words.split()], tmp_path, {"PATH": "/usr/bin:/bin"})
    found = preflight.missing_config(command, tmp_path)
    if problem is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(f"there is {problem.format(folder=tmp_path)}")


def test_configuration_of_a_program_that_is_elsewhere_is_an_open_question(venv: Venv, tmp_path: Path) -> None:
    words = [venv.python, "-m", "package.train", "--config", "confg.yaml"]
    assert preflight.missing_config(command_line.read(words, tmp_path, {"PATH": ""}), tmp_path) is None
