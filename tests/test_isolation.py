"""A run connects to nothing but this machine, and writes into its scratch folder and its cache: strace says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests import strace
from tests.conftest import Venv
from vc2doctor.environment import interpreter
from vc2doctor.probe.doors import installed_doors

TARGET = "VC2DOCTOR_DOORS_PYTHON"
"""Environment variable that names an environment with the packages of every door; ``nox -s doors`` builds one."""
DOCTOR = (sys.executable, "-m", "vc2doctor")
ROOT = Path(__file__).parents[1]
DOCTORS_OWN = (ROOT, Path(sys.prefix))
"""Where the Python that runs the doctor may keep compiled modules."""
pytestmark = strace.needs_strace


def traced(folder: Path, *words: str) -> strace.Trace:
    """Run a command under strace, in folders of its own; its scratch folder must be gone afterwards."""
    for name in ("work", "home", "scratch"):
        (folder / name).mkdir(exist_ok=True)
    hidden = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    variables = {
        **inherited,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "scratch"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    result = strace.trace(words, folder / "trace", folder / "work", variables)
    assert list((folder / "scratch").iterdir()) == []
    return result


def test_what_a_program_changes_and_connects_to_is_seen(tmp_path: Path) -> None:
    source = """
import os, socket, subprocess, sys
for name in ("a", "b"):
    open(name, "w").close()
os.rename("a", "c"); os.mkdir("d"); os.symlink("nosuch", "e"); os.unlink("b"); open("/dev/null", "w").close()
open(sys.executable).close()
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "::1")):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            made.sendto(b"x", (address, 9))
    except OSError:
        pass
subprocess.run(["/bin/sh", "-c", "echo > f"])
"""
    result = traced(tmp_path, sys.executable, "-c", source)
    work = tmp_path / "work"
    assert result.code == 0, result.output
    assert result.changed_outside(tmp_path / "home") == [str(work / name) for name in "abcdef"]
    assert result.changed_outside(work) == []
    assert result.foreign_addresses == ["192.0.2.1"]
    assert {"127.0.0.1", "::1"} <= result.addresses


def test_the_parts_of_an_interrupted_call_are_joined() -> None:
    text = (
        '7 openat(AT_FDCWD</w>, "a", O_WRONLY|O_CREAT, 0666 <unfinished ...>\n'
        '8 unlink("/w/b") = -1 ENOENT (No such file or directory)\n'
        "7 <... openat resumed>) = 3</w/a>\n"
    )
    assert strace.parse(text) == (frozenset({"/w/a"}), frozenset())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("check", "--python", "{python}"), id="check"),
        pytest.param(("check", "--format", "json", "--output", "report.json", "--python", "{python}"), id="output"),
        pytest.param(("lint", "."), id="lint"),
        pytest.param(("matrix", "explain", "torch==2.5.1", "peft"), id="matrix"),
    ],
)
def test_command_connects_to_nothing_and_writes_its_output_alone(
    words: tuple[str, ...], venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("import torch\n", encoding="utf-8")
    result = traced(tmp_path, *DOCTOR, *(word.format(python=venv.python) for word in words))
    assert result.addresses == frozenset()
    outside = result.changed_outside(tmp_path / "scratch", tmp_path / "cache", *DOCTORS_OWN)
    output = str(tmp_path / "work" / "report.json")
    named = {path for path in outside if path == output or Path(path).name.startswith(".report.json-")}
    assert set(outside) - named == set()
    assert ("--output" in words) == (output in outside)


@pytest.mark.skipif(TARGET not in os.environ, reason=f"{TARGET} names no environment; `nox -s doors` builds one")
@pytest.mark.parametrize("door", [None, "ddp", "deepspeed"])
def test_check_of_a_real_stack_stays_on_this_machine(door: str | None, tmp_path: Path) -> None:
    python = os.environ[TARGET]
    if door and door not in installed_doors([found.name for found in interpreter.observe(python).distributions]):
        pytest.skip(f"the environment lacks the packages of {door}")
    options = ("--timeout", "1200", *(("--door", door) if door else ()))
    result = traced(tmp_path, *DOCTOR, "check", "--python", python, *options)
    assert result.code == 0, result.output
    assert result.foreign_addresses == []
    # Without bytecode in the environment, the doctor's own cache gets it.
    caches = (tmp_path / "cache", tmp_path / "home" / ".cache" / "vc2doctor")
    assert result.changed_outside(tmp_path / "scratch", *caches, *DOCTORS_OWN) == []
