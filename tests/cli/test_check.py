"""The command as a user runs it, on real environments; what needs the real stack is in test_stack.py."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran, Venv
from vc2doctor.matrix import load

Doctor = Callable[..., Ran]


def test_no_probe_on_a_measured_set_is_fit(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", "--no-probe", "--python", str(venv.root))
    assert ran.code == 0, ran.out + ran.err
    assert "Fit to train under bf16." in ran.out
    assert ran.err == ""


def test_missing_packages(doctor: Doctor, venv: Venv) -> None:
    ran = doctor("check", "--python", venv.python)
    assert ran.code == 1
    assert "torch, transformers, peft are not installed" in ran.out


def test_json(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", "--no-probe", "--python", venv.python, "--format", "json")
    told = json.loads(ran.out)
    assert (told["verdict"], told["exit_code"], told["schema"]) == ("fit", 0, 2)


@pytest.mark.parametrize("form", ["json", "text"])
def test_output_goes_to_a_file(doctor: Doctor, venv: Venv, tmp_path: Path, form: str) -> None:
    venv.add_stack()
    file = tmp_path / "report"
    ran = doctor("check", "--no-probe", "--python", venv.python, "--format", form, "--output", str(file))
    assert (ran.code, ran.out) == (0, "")
    assert "fit" in file.read_text(encoding="utf-8").lower()


def test_a_crash_in_the_target_is_a_finding(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack(torch="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    ran = doctor("check", "--python", venv.python)
    assert ran.code == 1
    assert "VC011 error" in ran.out
    assert "SIGSEGV" in ran.out
    assert "Traceback" not in ran.err


def test_a_hang_in_the_target_is_not_a_verdict(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack(torch="import time; time.sleep(60)")
    ran = doctor("check", "--python", venv.python, "--timeout", "1")
    assert ran.code == 3
    assert "The examination could not be finished." in ran.out


def test_a_shadowing_file(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    (tmp_path / "torch.py").touch()
    ran = doctor("check", "--no-probe", "--python", venv.python, cwd=tmp_path)
    assert ran.code == 1
    assert f"imports {tmp_path / 'torch.py'} instead of the package torch" in ran.out


def test_a_required_gpu(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", "--no-probe", "--python", venv.python, "--require", "gpu", CUDA_VISIBLE_DEVICES="-1")
    assert ran.code == 1
    assert "VC009 error" in ran.out


def test_fp16_means_upstreams_recipe(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", "--no-probe", "--python", venv.python, "--precision", "fp16")
    assert ran.code == 1
    assert "Not fit to train under fp16-scaled." in ran.out


def test_settings_are_read_and_the_command_line_wins(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.vc2doctor]\nprecision = 'fp16'\n")
    options = ("check", "--no-probe", "--python", venv.python)
    ran = doctor(*options, cwd=tmp_path)
    assert ran.code == 1
    assert f"Not fit to train under fp16-scaled. {file} sets precision fp16-scaled." in ran.out
    assert doctor(*options, "--precision", "bf16", cwd=tmp_path).code == 0
    assert doctor(*options, "--isolated", cwd=tmp_path).code == 0


def test_a_hostile_checkout_chooses_neither_what_is_written_nor_what_is_believed(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    checkout = tmp_path / "checkout"
    for folder in ("known_issues", "profiles", "evidence"):
        (checkout / "m" / folder).mkdir(parents=True)
    line = "\nimport os; open('/tmp/proof', 'w')\n"
    (checkout / "m" / "known_issues" / "x.toml").write_text(f'id = "x"\ntitle = """{line}"""\n')
    written = venv.packages / "x.pth"
    (checkout / "pyproject.toml").write_text(
        f'[tool.vc2doctor]\nmatrix = "m"\noutput = "{written}"\nprobe = false\npython = "/bin/false"\n'
    )
    ran = doctor("check", "--python", venv.python, "--timeout", "60", cwd=checkout)
    assert not written.exists()
    assert "VC021 warning" in ran.out
    assert "sets matrix, output, probe, python, which was ignored" in ran.out
    assert "  Probe" in ran.out, "the probe ran although the file turns it off"
    named = doctor("check", "--config", "pyproject.toml", cwd=checkout)
    assert named.code == 2, "the matrix that the file names is not valid"
    assert "x.toml" in named.err
    assert not written.exists()


def test_a_trusted_settings_file_may_turn_the_probe_off(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor]\nprobe = false\n")
    ran = doctor("check", "--python", venv.python, "--trust-settings", cwd=tmp_path)
    assert (ran.code, "VC021" in ran.out, "  Probe" in ran.out) == (0, False, False)
    ran = doctor("check", "--isolated", "--trust-settings", cwd=tmp_path)
    assert ran.code == 2
    assert "--isolated reads no settings file" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--python", "/nowhere/python"), "there is no such interpreter"),
        (("--profile", "nobody"), "there is no profile 'nobody'"),
        (("--precision", "fp8"), "Invalid value for '--precision'"),
        (("--device", "tpu"), "'tpu' is not one of auto, cpu, cuda:0"),
        (("--timeout", "0"), "Invalid value for '--timeout'"),
        (("--matrix", "/nowhere"), "/nowhere: not a matrix"),
        (("--nonsense",), "No such option"),
        (("--no-probe", "--format", "json", "--output", "/nowhere/report.json"), "cannot be written"),
    ],
)
def test_wrong_usage_ends_2_with_one_message(doctor: Doctor, arguments: tuple[str, ...], message: str) -> None:
    ran = doctor("check", *arguments)
    assert ran.code == 2, ran.out
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_wrong_settings_file_ends_2(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor]\nnonsense = '/bin/sh'\n")
    ran = doctor("check", cwd=tmp_path)
    assert ran.code == 2
    assert f"{tmp_path / 'pyproject.toml'}: [tool.vc2doctor] nonsense: Extra inputs are not permitted" in ran.err


def test_another_matrix(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    other = tmp_path / "matrix"
    (other / "profiles").mkdir(parents=True)
    profile = load.shipped() / "profiles" / "videochat2-mistral.toml"
    text = profile.read_text(encoding="utf-8").replace("videochat2-mistral", "mine")
    (other / "profiles" / "mine.toml").write_text(text, encoding="utf-8")
    options = ("check", "--no-probe", "--python", venv.python, "--matrix", str(other), "--profile", "mine")
    stale = doctor(*options)
    assert stale.code == 2
    assert f"vc2doctor matrix compile --matrix {other}" in stale.err
    assert doctor("matrix", "compile", "--matrix", str(other)).code == 0
    ran = doctor(*options)
    assert ran.code == 3, "nothing was measured in that matrix, so nothing is proven"
    assert "profile mine" in ran.out


@pytest.mark.parametrize("kind", ["profile", "known_issue", "evidence", "report"])
def test_schemas_are_exported(doctor: Doctor, kind: str) -> None:
    assert json.loads(doctor("schema", kind).out)["$schema"].startswith("https://json-schema.org")


def test_every_check_explains_itself(doctor: Doctor) -> None:
    ran = doctor("explain", "vc005")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "A reported defect applies to what is installed.")
    unknown = doctor("explain", "VC999")
    assert unknown.code == 2
    assert "there are VC001, VC002" in unknown.err


def test_help_and_version(doctor: Doctor) -> None:
    assert "--fail-on" in doctor("check", "--help").out
    assert doctor("--version").out.startswith("vc2doctor, version ")


def test_the_doctor_imports_nothing_of_the_stack(venv: Venv) -> None:
    venv.add_stack()
    source = (
        "import sys, vc2doctor.cli.main as c\n"
        "try: c.cli(['check', '--no-probe', '--python', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", source, venv.python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_an_outcome_and_leaves_no_child(venv: Venv, tmp_path: Path, number: int) -> None:
    note = tmp_path / "pid"
    venv.add_stack(torch=f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    command = [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python]
    # A background job of a shell, and nohup, ignore SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        wait_for(lambda: note.exists() and note.read_text() != "")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "it was interrupted" in out
    assert "importing torch" in out
    assert "Traceback" not in err
    wait_for(lambda: not Path(f"/proc/{note.read_text()}").exists())


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to pass in 20 s")


def test_progress_on_a_terminal_and_nowhere_else(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack(torch="import time; time.sleep(1); raise ImportError('no')")
    command = [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python]
    quiet = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert quiet.stderr == ""
    shown, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm-256color"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, env=environment, check=False, cwd=tmp_path
        )
        assert b"importing torch" in os.read(shown, 65536)
        assert b"importing torch" not in done.stdout
    finally:
        os.close(shown)
        os.close(terminal)


def test_markup_in_an_event_is_text_and_the_time_limit_holds(venv: Venv, tmp_path: Path) -> None:
    event = json.dumps({"event": "importing", "package": "[/nope] [red]torch"})
    pipe = "int(sys.argv[sys.argv.index('--events') + 1])"
    venv.add_stack(torch=f"import os, sys, time\nos.write({pipe}, {event + chr(10)!r}.encode())\ntime.sleep(60)")
    shown, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python, "--timeout", "3"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, timeout=40, check=False, cwd=tmp_path, text=True
        )
        assert b"importing [/nope] [red]torch" in os.read(shown, 65536)
    finally:
        os.close(shown)
        os.close(terminal)
    assert done.returncode == 3
    assert "importing [/nope] [red]torch" in done.stdout
