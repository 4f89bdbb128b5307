"""Wrong input and broken machines end with one message and exit code 2, and never with a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ON_PAPER, Ran, Venv, run_doctor
from vc2doctor.core import limits

Doctor = Callable[..., Ran]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--timeout", "nan"), "nan is not a finite number"),
        (("check", "--timeout", "inf"), "inf is not a finite number"),
        (("check", "--timeout=0"), "0.0 is not in the range"),
        (("check", "--device", f"cuda:{'9' * 5000}"), "is not one of auto, cpu, cuda:0"),
        (("probe", "--seed", "9" * 30), "is not in the range"),
        (("matrix", "explain", f"torch=={'9' * 5000}"), "has 5,007 characters"),
        (("lint", "a\x1b[31m[red]"), "a�[31m[red]: there is no such file or folder"),
        (("explain", "\x1b[31m"), "there is no check, rule or cause"),
        (("explain", "forward-overflw"), "'forward-overflw'. Did you mean forward-overflow"),
        (("explain", "doors"), "'doors'. Did you mean VC022"),
        (("explain", "nonsense"), "'nonsense'. `vc2doctor explain` without a name lists all."),
        (("chek",), "there is no command 'chek'. Did you mean check?"),
        (("matrix", "shwo"), "there is no command 'shwo'. Did you mean show?"),
        (("check", "--precision", "float16"), "'float16'. Did you mean fp16-amp or fp16-scaled? All recipes: fp32,"),
    ],
)
def test_wrong_input_is_one_message(doctor: Doctor, arguments: tuple[str, ...], message: str) -> None:
    ran = doctor(*arguments)
    assert ran.code == 2, ran.out + ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert "\x1b" not in ran.err


def test_explain_without_a_name_lists_every_page(doctor: Doctor) -> None:
    ran = doctor("explain")
    assert ran.code == 0
    assert {"VC005", "VC103", "forward-overflow"} <= {line.split()[0] for line in ran.out.splitlines()}


def test_debug_shows_the_traceback_before_the_message(doctor: Doctor) -> None:
    ran = doctor("lint", "nowhere", "--debug")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert ran.err.splitlines()[-1] == "vc2doctor: nowhere: there is no such file or folder"


@pytest.mark.parametrize("verb", ["check", "lint", "needs"])
def test_deleted_working_directory_is_one_message(tmp_path: Path, verb: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    source = f"import os, shutil\nos.chdir({str(gone)!r})\nshutil.rmtree({str(gone)!r})\n"
    source += f"os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'vc2doctor', {verb!r}])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "vc2doctor: the working directory does not exist any more. Change to another one.\n"


def messages(err: str) -> list[str]:
    """Return the lines on standard error without those on the progress, which a slow machine has."""
    return [line for line in err.splitlines() if not line.endswith(" s so far)")]


def test_machine_without_a_temporary_folder_is_one_message(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    # tempfile falls back to /tmp and the working directory, so a variable says that none of them can be used.
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import tempfile\n"
        "def fail(): raise FileNotFoundError(2, 'No usable temporary directory found')\n"
        "tempfile.gettempdir = tempfile._get_default_tempdir = fail\n"
    )
    root = str(Path(__file__).parents[2])
    ran = run_doctor("check", "--python", venv.python, cwd=tmp_path, PYTHONPATH=f"{site}{os.pathsep}{root}")
    assert (ran.code, ran.out) == (2, "")
    assert "no temporary folder can be made: No usable temporary directory found. Set TMPDIR" in ran.err
    assert len(messages(ran.err)) == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_environment_at_a_path_that_is_not_utf8(venv: Venv, tmp_path: Path, form: str) -> None:
    folder = os.fsencode(tmp_path) + b"/nu\xff"
    os.mkdir(folder)  # noqa: PTH102 - bytes
    shutil.copytree(venv.root, os.fsdecode(folder + b"/v"), symlinks=True)
    (tmp_path / "train.py").write_text("import torch\nmodel.half()\nloss.backward()\noptimizer.step()\n")
    shutil.copy(os.fsencode(tmp_path / "train.py"), folder + b"/tr\xfe.py")
    name = os.fsdecode(folder)
    ran = run_doctor("check", *ON_PAPER, "--python", f"{name}/v", "--code", name, "--format", form, cwd=tmp_path)
    assert ran.code == 1, ran.err
    if form == "json":
        assert "nu�/v" in json.loads(ran.out)["environment"]["interpreter"]["path"]
    else:
        assert "uv pip install --python $'" in ran.out
        assert "nu\\377/v/bin/python' torch==" in ran.out


def test_version_of_thousands_of_digits_is_a_damaged_installation(venv: Venv, tmp_path: Path) -> None:
    venv.add("transformers", "4.40.1")
    venv.add("peft", "0.10.0")
    info = venv.packages / "torch-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {'1' * 5000}\n")
    ran = run_doctor("check", *ON_PAPER, "--python", venv.python, cwd=tmp_path)
    assert ran.code == 1
    assert messages(ran.err) == []


ROOT = str(Path(__file__).parents[2])


def run_module(python: str | Path, *arguments: str, limits: str = ":") -> subprocess.CompletedProcess[str]:
    """Run the doctor of this checkout with a Python, under the limits that a shell sets before."""
    return subprocess.run(
        ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", str(python), "-m", "vc2doctor", *arguments],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_dependency_is_one_message(venv: Venv) -> None:
    ran = run_module(venv.python, "lint", ".")
    assert (ran.returncode, ran.stdout) == (3, "")
    message = "the doctor is not installed completely: No module named 'click'. Install vc2doctor again."
    assert ran.stderr == f"vc2doctor: {message}\n"


def test_dependency_that_lacks_a_name_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "pathspec.py").write_text("")
    (tmp_path / "train.py").write_text("import torch\n")
    (tmp_path / ".gitignore").write_text("a\n")
    ran = run_doctor("lint", ".", cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert (ran.code, ran.out) == (3, "")
    assert "the doctor is not installed completely: cannot import name" in ran.err
    assert "Traceback" not in ran.err


def test_file_of_the_doctor_that_was_cut_short_is_one_message(tmp_path: Path) -> None:
    copy = shutil.copytree(Path(ROOT) / "vc2doctor", tmp_path / "vc2doctor")
    (copy / "cli" / "main.py").write_text('"""The command')
    ran = run_doctor("lint", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (ran.code, ran.out) == (3, "")
    assert "the doctor is damaged: unterminated triple-quoted string literal" in ran.err
    assert "Traceback" not in ran.err


def test_small_stack_is_one_message_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f"import torch\nx = {'(' * 190}torch.float16{')' * 190}\n")
    ran = run_module(sys.executable, "lint", str(tmp_path), limits="ulimit -s 128")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "the stack of this process is limited to 128 KiB" in ran.stderr
    assert "ulimit -s 8192" in ran.stderr
    assert run_module(sys.executable, "lint", str(tmp_path), limits="ulimit -s 1024").returncode == 0


def test_python_that_is_too_old_is_one_message() -> None:
    old = shutil.which("python3.8") or shutil.which("python3.9")
    if old is None or subprocess.run([old, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("this machine has no Python 3.8 or 3.9")
    ran = run_module(old, "lint")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "the doctor needs Python 3.10 or newer" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_help_names_the_time_limits_that_hold(doctor: Callable[..., Ran]) -> None:
    text = " ".join(doctor("check", "--help").out.split())
    seconds = (limits.DESCRIPTION_SECONDS, limits.PROBE_SECONDS, limits.BUILD_SECONDS)
    reading, probing, building = (f"{each:.0f} for" for each in seconds)
    assert f"Default: {reading} reading what is installed, {probing} the probe, {building} building" in text
