"""What is wrong with a command before anything is examined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Venv, make_venv
from vc2doctor.commands import command_line, preflight
from vc2doctor.commands.command_line import CommandReading
from vc2doctor.environment.choice import environment_of
from vc2doctor.linter.read.formats.shell import launch_of


@pytest.fixture
def other(tmp_path: Path) -> Venv:
    return make_venv(tmp_path / "other")


def problem(named: str, words: list[str], folder: Path, path: str = "") -> str | None:
    command = command_line.read(words, folder, {"PATH": path})
    return other_interpreter(named, command)


def other_interpreter(named: str, command: CommandReading, shown: str = "python train.py") -> str | None:
    return preflight.other_interpreter(named, "--python", command, shown, "vc2doctor gate")


def make_program(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


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
        make_program(Path(each.python).with_name("torchrun"), f"#!{each.python}\n")
    starts_other = command_line.read(
        [str(Path(other.python).with_name("torchrun")), "train.py"], tmp_path, {"PATH": ""}
    )
    shown = "torchrun train.py --epochs 3"
    assert f"vc2doctor gate -- {Path(venv.python).with_name('torchrun')} train.py --epochs 3." in str(
        other_interpreter(venv.python, starts_other, shown)
    )
    Path(venv.python).with_name("torchrun").unlink()
    assert "activate its environment first" in str(other_interpreter(venv.python, starts_other, shown))


def test_named_interpreter_stands_for_a_python_of_another_name(venv: Venv, other: Venv, tmp_path: Path) -> None:
    command = command_line.read([other.python, "train.py"], tmp_path, {"PATH": ""})
    text = str(other_interpreter(venv.python, command, "python2.6 train.py"))
    assert f"vc2doctor gate -- {venv.python} train.py." in text


def test_interpreter_that_is_gone_by_now_is_no_contradiction(venv: Venv, other: Venv, tmp_path: Path) -> None:
    command = command_line.read([other.python, "train.py"], tmp_path, {"PATH": ""})
    Path(other.python).unlink()
    assert other_interpreter(venv.python, command) is None


def test_shim_whose_interpreter_only_a_run_knows_is_no_contradiction(venv: Venv, tmp_path: Path) -> None:
    shim = make_program(tmp_path / "shims" / "python", "#!/bin/sh\nexec somewhere/python\n")
    assert problem(venv.python, ["python", "train.py"], tmp_path, path=str(shim.parent)) is None
    # pip writes the shim into the first line of a launcher.
    launcher = make_program(tmp_path / "bin" / "torchrun", f"#!{shim}\n")
    assert command_line.read([str(launcher), "train.py"], tmp_path, {"PATH": ""}).python == str(shim)
    assert problem(venv.python, [str(launcher), "train.py"], tmp_path) is None


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
        ("{python} -m torch.distributed.run --module package.train new.py", None),
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
    ("words", "missing"),
    [
        ("train.py --config there.yaml", []),
        ("train.py --config gone.yaml", ["gone.yaml"]),
        ("train.py gone.yaml --again gone.yaml", ["gone.yaml"]),
        ("train.py --config configs/X-LoRA.yaml", ["configs/X-LoRA.yaml"]),
        # Hydra: the file is the last part of an override.
        ("train.py model.config=there.yaml", []),
        ("train.py model.config=gone.yaml", ["gone.yaml"]),
        ("train.py +override=model.config=gone.yaml", ["gone.yaml"]),
        # What a run writes need not exist before.
        ("train.py --output_file new.json --metrics new.yaml --log-config new.toml", []),
        ("train.py --REPORT new.json", []),
        ("train.py --config gone.yaml --results new.json", ["gone.yaml"]),
        # Only the shell or the program knows these names.
        ("train.py --config $CONFIG.yaml", []),
        ("train.py --config conf/*.yaml", []),
        ("train.py --config {name}.yaml", []),
    ],
)
def test_configuration_that_a_command_reads_and_that_does_not_exist_is_named(
    tmp_path: Path, words: str, missing: list[str]
) -> None:
    for name in ("train.py", "there.yaml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    launch = launch_of("<command>", ["python", *words.split()])
    assert launch is not None
    assert list(preflight.missing_configs(launch, tmp_path)) == missing


def test_configuration_is_looked_for_where_a_script_goes_first(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "there.yaml").write_text("", encoding="utf-8")
    script = "cd sub && python train.py --config there.yaml --data gone.json"
    (launch,) = command_line.read(["bash", "-c", script], tmp_path, {"PATH": "/usr/bin:/bin"}).launches
    assert list(preflight.missing_configs(launch, tmp_path)) == ["gone.json"]


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
