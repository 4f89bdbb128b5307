"""``vc2doctor gate`` as a user runs it: real processes, real signals, real descriptors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests import processes
from tests.conftest import ON_PAPER, WITHOUT_CACHE, Venv, make_venv
from tests.processes import MARK, PATIENCE, needs_proc
from tests.project import CLIPS_SCALED

SHOW = dedent("""
    import json, os, sys

    def status(name):
        return [line.split()[1] for line in open("/proc/self/status") if line.startswith(name)]

    def is_open(number):
        try:
            return os.stat("/proc/self/fd/%d" % number).st_ino
        except OSError:
            return None

    shown = {
        "parent": os.getppid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "variables": sorted(open("/proc/self/environ", "rb").read().decode("latin-1").split("\\0")),
        "descriptors": {str(number): is_open(number) for number in range(20)},
        "ignored": status("SigIgn"),
        "blocked": status("SigBlk"),
        "children": open("/proc/self/task/%d/children" % os.getpid()).read(),
        "folder": os.getcwd(),
        "mask": os.umask(0),
        "words": sys.argv[1:],
        "input": sys.stdin.read() if sys.stdin else None,
    }
    with open(os.environ["SHOWN"], "w") as file:
        json.dump({"pid": os.getpid(), **shown}, file)
    sys.exit(7)
""")


class Machine:
    """An environment with a stack on paper, a folder to work in, and the gate."""

    def __init__(self, folder: Path) -> None:
        self.venv: Venv = make_venv(folder / "venv")
        self.work = folder / "work"
        self.work.mkdir()
        self.mark = processes.new_mark()
        self.variables = {
            **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")},
            "CUDA_VISIBLE_DEVICES": "-1",
            "XDG_RUNTIME_DIR": str(folder),
            **WITHOUT_CACHE,
            "SHOWN": str(folder / "shown.json"),
            MARK: self.mark,
        }
        self.variables.pop("LC_ALL", None)

    def file(self, name: str, text: str) -> Path:
        path = self.work / name
        path.write_text(text, encoding="utf-8")
        return path

    def gate(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "vc2doctor", "gate", *options, "--"]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - those of Popen
        given = {"cwd": self.work, "env": self.variables, "text": True, "stdout": subprocess.PIPE}
        return subprocess.Popen(words, **{**given, "stderr": subprocess.PIPE, **options})

    def run(self, *words: str, **options: Any) -> tuple[int, str, str]:  # noqa: ANN401
        with self.start(*words, **options) as process:
            out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def checks(self, seconds: str = "0") -> Path:
        """Let each examination of the environment leave a line in a file, and then take some seconds."""
        sign = self.work.parent / "checks"
        source = (
            "import os, sys, time\n"
            "if any('describe_environment' in word for word in sys.orig_argv):\n"
            f"    os.write(os.open({str(sign)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), b'checked\\n')\n"
            f"    time.sleep({seconds})\n"
        )
        (self.venv.packages / "sitecustomize.py").write_text(source, encoding="utf-8")
        return sign


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.venv.add_stack()
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@needs_proc
@pytest.mark.parametrize("prefix", ["", "exec 0<&-; ", "exec 7<$SHOW_FILE; ", "trap '' TERM INT HUP; ", "umask 27; "])
def test_command_has_everything_that_it_has_without_the_gate(machine: Machine, prefix: str) -> None:
    script = machine.file("show.py", SHOW)
    machine.variables["SHOW_FILE"] = str(script)
    seen = []
    for gate in ([], machine.gate(*ON_PAPER)):
        words = [*gate, machine.venv.python, str(script), "--secret", "a b", "--timeout=3"]
        process = machine.start("/bin/sh", "-c", f'{prefix}exec "$@"', "sh", *words, stdin=subprocess.PIPE)
        _, err = process.communicate("typed\n", timeout=300)
        assert process.returncode == 7, err
        shown = json.loads(Path(machine.variables["SHOWN"]).read_text(encoding="utf-8"))
        assert shown.pop("pid") == process.pid
        for number in ("0", "1", "2"):
            # Each run has pipes of its own.
            shown["descriptors"][number] = shown["descriptors"][number] is not None
        seen.append(shown)
    assert seen[0] == seen[1]
    assert seen[1]["children"] == ""
    assert seen[1]["words"] == ["--secret", "a b", "--timeout=3"]


def test_standard_output_is_that_of_the_command_alone(machine: Machine) -> None:
    machine.file("train.py", "import sys\nsys.stdout.write('loss 3.1\\n')\nsys.stderr.write('warning\\n')\n")
    gate = machine.gate(*ON_PAPER, "--output", "report.json")
    code, out, err = machine.run(*gate, machine.venv.python, "train.py", "--hf_token", "hf_aaaaaaaaaaaaaaaaaaaa")
    assert (code, out) == (0, "loss 3.1\n"), err
    assert "! Fit to train under bf16 by versions alone" in err
    assert err.endswith("The report is in report.json.\nwarning\n")
    text = (machine.work / "report.json").read_text(encoding="utf-8")
    report = json.loads(text)
    assert (report["exit_code"], report["gate"]["decision"], report["gate"]["starts"]) == (0, "run", "python train.py")
    assert report["environment"]["choice"]["reason"] == "the command starts it"
    assert "hf_aaaa" not in text, "words of the command can be secrets"


def test_signal_that_ends_the_command_is_the_end_of_the_process(machine: Machine) -> None:
    script = machine.file("end.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    code, _, _ = machine.run(*machine.gate(*ON_PAPER), machine.venv.python, str(script))
    assert code == -signal.SIGKILL


@needs_proc
def test_process_can_be_stopped_and_continued_during_the_check_and_the_command(machine: Machine) -> None:
    sign = machine.checks(seconds="3")
    started = machine.work / "started"
    source = f"import sys, pathlib\npathlib.Path({str(started)!r}).touch()\nsys.stdin.readline()\nsys.exit(5)\n"
    machine.file("train.py", source)
    words = (*machine.gate(*ON_PAPER), machine.venv.python, "train.py")
    with machine.start(*words, stdin=subprocess.PIPE) as process:
        for moment in (sign, started):
            wait_for(moment.exists)
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: state_of(process.pid) == "T")
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)
        process.communicate("go on\n", timeout=60)
    assert process.returncode == 5


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("nosuch-program", 127, "nosuch-program: command not found"),
        ("./nosuch", 127, "./nosuch: command not found"),
        ("./notes.txt", 126, "./notes.txt: Permission denied"),
        ("./", 126, "./: it is a folder"),
        ("./empty", 126, "./empty: Exec format error"),
        ("", 127, ": command not found"),
    ],
)
def test_command_that_cannot_be_run_ends_as_in_a_shell(machine: Machine, command: str, code: int, message: str) -> None:
    machine.file("notes.txt", "")
    machine.file("empty", "no first line").chmod(0o755)
    ended, out, err = machine.run(*machine.gate(*ON_PAPER, "--python", machine.venv.python), command)
    assert (ended, out) == (code, ""), err
    assert message in err


def test_unfit_environment_is_refused_with_its_report(machine: Machine, tmp_path: Path) -> None:
    empty = make_venv(tmp_path / "empty")
    ran = machine.file("train.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    gate = machine.gate(*ON_PAPER, "--output", "report.json")
    code, out, err = machine.run(*gate, empty.python, str(ran))
    assert (code, out) == (125, "")
    assert "VC001 error  torch, transformers and peft are not installed" in err
    assert "Not started: the check found 1 error. Exit code 125." in err
    report = json.loads((machine.work / "report.json").read_text(encoding="utf-8"))
    assert (report["exit_code"], report["gate"]["decision"], report["gate"]["refuse_exit"]) == (1, "refuse", 125)
    assert not (tmp_path / "ran").exists()
    assert machine.run(*machine.gate(*ON_PAPER, "--refuse-exit", "9"), empty.python, str(ran))[0] == 9
    assert not (tmp_path / "ran").exists()
    code, _, err = machine.run(*machine.gate(*ON_PAPER, "--warn-only"), empty.python, str(ran))
    assert code == 0
    assert "and --warn-only runs the command nevertheless" in err
    assert (tmp_path / "ran").exists()


def test_check_that_cannot_be_finished_is_a_refusal_unless_it_only_warns(machine: Machine) -> None:
    words = ("/bin/sh", "-c", "echo ran")
    code, out, err = machine.run(*machine.gate(), *words)
    assert (code, out) == (125, "")
    assert "the interpreter of the command is not known: <command> starts nothing that is known" in err
    assert err.endswith("Name it with --python. The command was not started.\n")
    code, out, err = machine.run(*machine.gate("--warn-only"), *words)
    assert (code, out) == (0, "ran\n")
    assert err.endswith("The command runs nevertheless (--warn-only).\n")


def test_crash_of_the_target_is_a_refusal(machine: Machine, tmp_path: Path) -> None:
    crashing = make_venv(tmp_path / "crashing")
    crashing.add_stack(torch="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    machine.file("train.py", "print('ran')")
    code, out, err = machine.run(*machine.gate(), crashing.python, "train.py")
    assert (code, out) == (125, "")
    assert "SIGSEGV" in err


@needs_proc
@pytest.mark.parametrize("options", [(), ("--warn-only",)])
@pytest.mark.parametrize("slow", ["probe", "description"])
def test_time_limit_holds_for_all_that_the_doctor_does(
    machine: Machine, tmp_path: Path, slow: str, options: tuple[str, ...]
) -> None:
    hanging = make_venv(tmp_path / "hanging")
    hanging.add_stack(torch="import time; time.sleep(600)")
    if slow == "description":
        machine.venv = hanging
        machine.checks(seconds="600")
    began = time.monotonic()
    words = (*machine.gate("--timeout", "12", *options), "/bin/sh", "-c", f"echo ran; exit 3; {hanging.python} t.py")
    code, out, err = machine.run(*words)
    assert (code, out) == ((3, "ran\n") if options else (125, "")), err
    assert "the check took longer than 12 s (--timeout)" in err
    assert 12 <= time.monotonic() - began < 12 + PATIENCE
    wait_for(lambda: not processes.marked(machine.mark))


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_starts_no_command_even_if_it_only_warns(machine: Machine, number: signal.Signals) -> None:
    sign = machine.checks(seconds="600")
    with processes.default_signals():
        process = machine.start(*machine.gate("--warn-only"), "/bin/sh", "-c", f"echo ran; {machine.venv.python} t.py")
    wait_for(sign.exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (125, "")
    assert "interrupted; the command was not started" in err
    wait_for(lambda: not processes.marked(machine.mark))


@pytest.mark.parametrize("command", ["{python} bad.py", "bash bad.sh", "{python} start.py"])
def test_fault_in_the_code_of_the_command_is_a_refusal(machine: Machine, command: str) -> None:
    machine.file("bad.py", CLIPS_SCALED)
    machine.file("start.py", "import bad\n")
    machine.file("bad.sh", f"cd .\n{machine.venv.python} bad.py --epochs 1\n")
    code, out, err = machine.run(*machine.gate(*ON_PAPER), *command.format(python=machine.venv.python).split())
    assert (code, out) == (125, ""), err
    assert "VC105 error" in err
    assert "at bad.py:7" in err


def test_fault_in_other_code_of_the_project_does_not_matter(machine: Machine) -> None:
    machine.file("bad.py", CLIPS_SCALED)
    machine.file("bad.sh", "python bad.py --fp16 --bf16\n")
    machine.file("good.py", "import torch\nprint('ran')\n")
    code, out, err = machine.run(*machine.gate(*ON_PAPER), machine.venv.python, "good.py")
    assert (code, out) == (0, "ran\n"), err


def test_fault_of_the_baseline_is_no_refusal_and_a_new_one_is(machine: Machine) -> None:
    machine.file("bad.py", CLIPS_SCALED)
    gate = machine.gate(*ON_PAPER, "--baseline", "known.json")
    words = (machine.venv.python, "bad.py")
    assert machine.run(*gate, *words)[0] == 125, "there is no baseline yet"
    updated = machine.gate(*ON_PAPER, "--baseline", "known.json", "--update-baseline")
    # The command runs, and then fails by itself.
    assert machine.run(*updated, *words)[0] == 1
    assert machine.run(*gate, *words)[0] == 1
    machine.file("bad.py", f"{CLIPS_SCALED}\n{CLIPS_SCALED}")
    code, _, err = machine.run(*gate, *words)
    assert code == 125, err
    assert "VC105 error" in err


def test_flags_of_the_command_decide_the_precision(machine: Machine) -> None:
    machine.file("train.py", "from transformers import Trainer\nprint('ran')\n")
    gate = machine.gate(*ON_PAPER, "--verbose")
    flags = ("--output_dir", "out", "--per_device_train_batch_size", "1", "--fp16")
    _, _, err = machine.run(*gate, machine.venv.python, "train.py", *flags)
    assert "precision fp16-amp" in err


def test_interpreter_of_the_command_must_be_the_one_that_is_examined(machine: Machine, tmp_path: Path) -> None:
    other = make_venv(tmp_path / "other")
    machine.file("train.py", "print('ran')\n")
    sign = machine.checks()
    gate = machine.gate(*ON_PAPER, "--python", machine.venv.python)
    code, out, err = machine.run(*gate, other.python, "train.py", "--token", "hf_secret")
    assert (code, out) == (125, "")
    assert f"--python names {machine.venv.python}, but the command starts {other.python}" in err
    assert f"vc2doctor gate -- {machine.venv.python} train.py" in err, err
    assert "hf_secret" not in err
    assert not sign.exists(), "it is refused before anything is examined"


def test_another_name_of_the_same_environment_may_be_named(machine: Machine) -> None:
    machine.file("train.py", "print('ran')\n")
    folder = str(Path(machine.venv.python).parent.parent)
    code, out, err = machine.run(*machine.gate(*ON_PAPER, "--python", folder), machine.venv.python, "train.py")
    assert (code, out) == (0, "ran\n"), err
    assert f"{machine.venv.python}: you named it, for: python train.py" in err


def test_script_that_does_not_exist_is_refused_with_the_nearest_name(machine: Machine) -> None:
    machine.file("train.py", "print('ran')\n")
    sign = machine.checks()
    code, out, err = machine.run(*machine.gate(*ON_PAPER), machine.venv.python, "trian.py")
    assert (code, out) == (125, "")
    assert f"there is no file trian.py in {machine.work}. Did you mean train.py? The command was not started" in err
    assert not sign.exists(), "it is refused before anything is examined"
    words = ("-c", f"echo 'print(1)' > made.py && {machine.venv.python} made.py")
    code, out, err = machine.run(*machine.gate(*ON_PAPER), "/bin/sh", *words)
    assert (code, out) == (0, "1\n"), err


def test_configuration_that_does_not_exist_is_refused_with_the_nearest_name(machine: Machine) -> None:
    machine.file("train.py", "print('ran')\n")
    machine.file("config.yaml", "fp16: false\n")
    words = ("train.py", "--config", "confg.yaml", "--output_file", "scores.json")
    code, out, err = machine.run(*machine.gate(*ON_PAPER), machine.venv.python, *words)
    assert (code, out) == (125, "")
    assert "which --config names. Did you mean config.yaml? The command was not started." in err


def test_configuration_that_the_program_may_find_elsewhere_is_named(machine: Machine) -> None:
    machine.file("train.py", "print('ran')\n")
    (machine.work / "library").mkdir()
    machine.file("library/lora.yaml", "fp16: false\n")
    words = ("train.py", "--config", "configs/lora.yaml", "--output_file", "scores.json")
    code, _, err = machine.run(*machine.gate(*ON_PAPER), machine.venv.python, *words)
    assert code == 0, err
    assert "Not read      configs/lora.yaml, which the command names, does not exist" in err
    assert "scores.json" not in err


def test_refusal_of_a_fit_environment_says_what_refused(machine: Machine) -> None:
    machine.file("train.py", "print('ran')\n")
    machine.file("pyproject.toml", '[tool.vc2doctor]\nprecision = "bf16"\n')
    gate = machine.gate(*ON_PAPER, "--fail-on", "warning")
    code, out, err = machine.run(*gate, machine.venv.python, "train.py")
    assert (code, out) == (125, "")
    assert "Refused (exit code 1): --fail-on warning counts VC009" in err
    assert "Not started: --fail-on warning counts VC009. Exit code 125." in err
    assert "the verdict is fit" not in err
    assert err.count("Settings ") == 1


def test_doctors_own_environment_is_never_advised_to_hold_the_stack(machine: Machine, tmp_path: Path) -> None:
    doctor = make_venv(tmp_path / "doctor")
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (doctor.packages / "doctor.pth").write_text(f"{packages}\n{Path(__file__).parents[2]}\n", encoding="utf-8")
    machine.file("train.py", "print('ran')\n")
    words = (doctor.python, "-m", "vc2doctor", "gate", "--no-probe", "--", doctor.python, "train.py")
    code, out, err = machine.run(*words)
    assert (code, out) == (125, "")
    assert "No environment was chosen, so none was examined." in err
    assert "write its interpreter into the command" in err
    assert "pip install" not in err


class TestRanks:
    """A distributed launch: one process of each node checks."""

    def ranks(self, machine: Machine, numbers: range, *words: str, **variables: str) -> list[subprocess.Popen[str]]:
        launch = {"WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517", **variables}
        return [
            machine.start(
                *machine.gate(*ON_PAPER, "--python", machine.venv.python),
                *words,
                env={**machine.variables, **launch, "RANK": str(number), "LOCAL_RANK": str(number)},
            )
            for number in numbers
        ]

    def ends(self, ranks: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
        outputs = [process.communicate(timeout=300)[0] for process in ranks]
        return [(process.returncode, out) for process, out in zip(ranks, outputs, strict=True)]

    def test_one_rank_checks_and_all_run_with_their_own_number(self, machine: Machine) -> None:
        sign = machine.checks()
        ranks = self.ranks(machine, range(4), "/bin/sh", "-c", "echo ran $RANK; exit $RANK")
        assert self.ends(ranks) == [(number, f"ran {number}\n") for number in range(4)]
        assert sign.read_text(encoding="utf-8") == "checked\n"

    def test_next_launch_with_the_same_name_is_checked_again(self, machine: Machine) -> None:
        sign = machine.checks()
        for _ in range(2):
            assert self.ends(self.ranks(machine, range(2), "/bin/true")) == [(0, ""), (0, "")]
        assert sign.read_text(encoding="utf-8") == "checked\n" * 2

    def test_refusal_holds_for_all_ranks(self, machine: Machine, tmp_path: Path) -> None:
        machine.venv = make_venv(tmp_path / "empty")
        sign = machine.checks()
        assert self.ends(self.ranks(machine, range(4), "/bin/echo", "ran")) == [(125, "")] * 4
        assert sign.read_text(encoding="utf-8") == "checked\n"

    @needs_proc
    def test_rank_that_is_killed_while_it_checks_is_followed_by_another(self, machine: Machine) -> None:
        sign = machine.checks(seconds="600")
        (first,) = self.ranks(machine, range(1), "/bin/echo", "ran")
        wait_for(sign.exists)
        others = self.ranks(machine, range(1, 4), "/bin/echo", "ran")
        time.sleep(3)
        machine.checks(seconds="0")
        assert all(process.poll() is None for process in others), "they wait for the first one"
        first.send_signal(signal.SIGKILL)
        assert self.ends([first]) == [(-signal.SIGKILL, "")]
        assert self.ends(others) == [(0, "ran\n")] * 3
        assert sign.read_text(encoding="utf-8") == "checked\n" * 2

    def test_folder_of_somebody_else_is_not_trusted(self, machine: Machine) -> None:
        folder = Path(machine.variables["XDG_RUNTIME_DIR"]) / f"vc2doctor-gate-{os.geteuid()}"
        folder.mkdir()
        folder.chmod(0o777)
        sign = machine.checks()
        machine.variables["TMPDIR"] = machine.variables["XDG_RUNTIME_DIR"]
        assert self.ends(self.ranks(machine, range(2), "/bin/echo", "ran")) == [(0, "ran\n")] * 2
        assert sign.read_text(encoding="utf-8") == "checked\n" * 2, "each checks for itself"
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize(
        "result", [{"fits": True}, {"fits": "false", "sentence": "x"}, {"fits": True, "sentence": 5}, {}]
    )
    def test_result_of_another_kind_is_not_used(self, machine: Machine, result: dict[str, Any]) -> None:
        sign = machine.checks()
        assert self.ends(self.ranks(machine, range(1), "/bin/true")) == [(0, "")]
        folder = Path(machine.variables["XDG_RUNTIME_DIR"]) / f"vc2doctor-gate-{os.geteuid()}"
        (file,) = folder.glob("*.result")
        file.write_text(json.dumps({"members": [], "time": time.time(), "result": result}), encoding="utf-8")
        assert self.ends(self.ranks(machine, range(1, 2), "/bin/true")) == [(0, "")]
        assert sign.read_text(encoding="utf-8") == "checked\n" * 2
