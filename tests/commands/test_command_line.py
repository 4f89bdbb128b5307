"""Which interpreter and which programs a command starts, as far as it can be read: nothing is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vc2doctor.commands import command_line


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder of programs as an installer leaves them: a python, console scripts, tools."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "python3.11"):
        (folder / name).symlink_to(sys.executable)
    long_path = f"#!/bin/sh\n'''exec' \"{folder}/python\" \"$0\" \"$@\"\n' '''\nimport sys\n"
    scripts = {
        "torchrun": f"#!{folder}/python\nimport sys\n",
        "accelerate": long_path,
        "deepspeed": "#!/usr/bin/env python3.11\n",
        "train.py": "#!/usr/bin/env python\n",
        "run.sh": "#!/bin/bash\ntorchrun train.py --fp16\n",
        "odd": "no first line\n",
        "perl-tool": "#!/usr/bin/perl\n",
        **dict.fromkeys(("srun", "uv", "docker", "bash", "nice", "env", "timeout", "mpirun"), "#!/bin/sh\n"),
    }
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def read(command: str, bin_folder: Path, **variables: str) -> command_line.CommandReading:
    return command_line.read(command.split(), bin_folder, {"PATH": str(bin_folder), **variables})


@pytest.mark.parametrize(
    ("command", "python", "program"),
    [
        ("python train.py --bf16", "python", "train.py"),
        ("python3.11 -m package.train", "python3.11", "package/train.py"),
        ("torchrun --nproc-per-node 8 train.py", "python", "train.py"),
        ("accelerate launch --mixed_precision fp16 train.py", "python", "train.py"),
        ("deepspeed --num_gpus 2 train.py --deepspeed ds.json", "python3.11", "train.py"),
        ("python -m torch.distributed.run train.py", "python", "train.py"),
        ("./train.py --fp16", "python", "./train.py"),
        ("srun -N 2 --gpus-per-node=8 torchrun train.py", "python", "train.py"),
        ("nice -n 5 env CUDA_VISIBLE_DEVICES=0 timeout 60 python train.py", "python", "train.py"),
        ("bash run.sh", "python", "train.py"),
        ("./run.sh", "python", "train.py"),
        ("mpirun -np 4 bash run.sh", "python", "train.py"),
    ],
)
def test_interpreter_and_program_of_a_command(bin_folder: Path, command: str, python: str, program: str) -> None:
    reading = read(command, bin_folder)
    assert reading.python == str(bin_folder / python), reading.reason
    assert [launch.program for launch in reading.launches] == [program]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("uv run python train.py", "uv chooses the environment itself"),
        ("docker run image python train.py", "docker runs in an image of its own"),
        ("srun -N 2 ./nothing", "the command that srun starts cannot be read"),
        ("odd train.py", "does not say which interpreter it uses"),
        ("perl-tool", "is run by /usr/bin/perl, which is no Python that can be found"),
        ("nosuch train.py", "there is no program nosuch that can be run"),
        ("bash nosuch.sh", "there is no such file"),
        ("bash", "reads its commands from standard input"),
        ("nice nice nice nice nice python train.py", "started by too many other programs"),
    ],
)
def test_interpreter_that_cannot_be_told_is_none_with_the_reason(bin_folder: Path, command: str, reason: str) -> None:
    reading = read(command, bin_folder)
    assert reading.python is None
    assert reason in reading.reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("source setup.sh\npython train.py\n", "run.sh:1 (source setup.sh) can change the environment"),
        ("module load cuda\npython train.py\n", "run.sh:1 (module load cuda) can change the environment"),
        ("export PATH=tools/bin:$PATH\npython train.py\n", "run.sh:1 (export PATH=tools/bin:$PATH)"),
        ('eval "$(conda shell.bash hook)"\npython train.py\n', "run.sh:1 (eval "),
        ("source /nowhere/bin/activate\npython train.py\n", "activates /nowhere, which cannot be found"),
        ("echo hello\n", "run.sh starts nothing that is known"),
        ("$RUNNER train.py\n", "run.sh starts nothing that is known"),
    ],
)
def test_script_that_can_change_the_environment_leaves_the_interpreter_open(
    bin_folder: Path, script: str, reason: str
) -> None:
    (bin_folder / "run.sh").write_text(script, encoding="utf-8")
    reading = read("bash run.sh", bin_folder)
    assert reading.python is None
    assert reason in reading.reason


def test_environment_that_a_script_activates_is_the_one_of_its_programs(bin_folder: Path) -> None:
    (bin_folder / "run.sh").write_text("source ../../venv/bin/activate\npython train.py --fp16\n", encoding="utf-8")
    reading = read("bash run.sh", bin_folder)
    assert reading.python is not None
    assert Path(reading.python).samefile(bin_folder / "python")
    assert reading.launches[0].turns_on("--fp16")


def test_text_behind_a_shell_is_read_as_a_script(bin_folder: Path) -> None:
    words = ["bash", "-c", "cd /data && exec torchrun train.py --fp16 --lr 1e-4"]
    reading = command_line.read(words, bin_folder, {"PATH": str(bin_folder)})
    assert reading.python == str(bin_folder / "python")
    assert [launch.folder for launch in reading.launches] == ["/data"]
    assert reading.launches[0].flags["--lr"].value == "1e-4"


def test_variables_of_env_decide_which_program_is_found(bin_folder: Path, tmp_path: Path) -> None:
    reading = read(f"env PATH={tmp_path} python train.py", bin_folder)
    assert reading.python is None


def test_torchrun_starts_its_workers_with_the_interpreter_of_its_variable(bin_folder: Path) -> None:
    assert read("torchrun train.py", bin_folder, PYTHON_EXEC="python3.11").python == str(bin_folder / "python3.11")


def test_what_a_launcher_starts_on_other_machines_is_named() -> None:
    reading = command_line.read(["srun", sys.executable, "train.py"], Path(), {"PATH": ""})
    assert reading.python == sys.executable
    assert reading.unread[0].startswith("srun may start the command on other machines; only this one was examined.")


def test_program_that_need_not_be_python_is_named(bin_folder: Path) -> None:
    reading = read("torchrun --no-python ./train.py", bin_folder)
    assert reading.unread == ("torchrun starts a program that need not be Python, which is not read",)


def script(folder: Path, text: str) -> None:
    """Write ``job.sh``, which can be run."""
    (folder / "job.sh").write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
    (folder / "job.sh").chmod(0o755)


@pytest.mark.parametrize(
    "text",
    ["PY=${PY:-python}\n$PY train.py\n", "$PY train.py\n", 'exec "${PY-python}" train.py\n', "PY+=''\n$PY train.py\n"],
)
def test_variable_of_the_environment_decides_what_a_script_starts(bin_folder: Path, text: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / "python"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    script(bin_folder, text)
    assert read("./job.sh", bin_folder, PY=str(other)).python == str(other)
    assert read(f"env PY={other} bash job.sh", bin_folder).python == str(other)


def test_default_counts_where_the_variable_is_empty_or_missing(bin_folder: Path) -> None:
    script(bin_folder, "python train.py --a ${A:-1} --b ${B-2} --c ${C:-3}\n")
    flags = read("./job.sh", bin_folder, A="", B="").launches[0].flags
    assert [flags[name].value for name in ("--a", "--b", "--c")] == ["1", None, "3"]


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('python train.py --bf16 "$@"\n', ("--bf16", "--fp16", "--lr")),
        ("python train.py ${@} --bf16\n", ("--fp16", "--lr", "--bf16")),
        ('python train.py "$1" --lr=$3\n', ("--fp16", "--lr")),
        ('shift\npython train.py "$@"\n', ("--lr",)),
        ('shift 2; python train.py "$@"\n', ()),
        ('set -e\nset -- --seed 3\npython train.py "$@"\n', ("--seed",)),
    ],
)
@pytest.mark.parametrize("command", ["./job.sh --fp16 --lr 3", "bash job.sh --fp16 --lr 3"])
def test_arguments_of_a_script_reach_its_program(
    bin_folder: Path, text: str, flags: tuple[str, ...], command: str
) -> None:
    script(bin_folder, text)
    found = read(command, bin_folder)
    assert tuple(found.launches[0].flags) == flags
    assert found.launches[0].program == "train.py"
    assert not found.unread


def test_arguments_behind_the_text_of_a_shell_are_those_of_the_text(bin_folder: Path) -> None:
    found = command_line.read(
        ["bash", "-c", 'python train.py "$@"', "name", "--fp16"], bin_folder, {"PATH": str(bin_folder)}
    )
    assert tuple(found.launches[0].flags) == ("--fp16",)


@pytest.mark.parametrize(
    "text",
    [
        'while [ $# -gt 1 ]; do shift; done\npython train.py "$@"\n',
        'main() {\n  python train.py "$@"\n}\nmain\n',
        'test -f a && shift\npython train.py "$@"\n',
    ],
)
def test_arguments_that_only_a_run_knows_are_named(bin_folder: Path, text: str) -> None:
    script(bin_folder, text)
    found = read("./job.sh --fp16 --lr 3", bin_folder)
    line = text[: text.index("python")].count("\n") + 2
    sentence = f"only a run knows what $@ in job.sh:{line} stands for, so flags in it were not read"
    assert (tuple(found.launches[0].flags), found.unread) == ((), (sentence,))
