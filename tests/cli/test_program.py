"""How the doctor was started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ON_PAPER, Venv
from vc2doctor.cli.program import program

ROOT = Path(__file__).parents[2]
ENV = "/home/me/tool"
CACHE = "/home/me/.cache/uv/archive-v0/q1-5s1"


@pytest.mark.parametrize(
    ("original", "prefix", "parent", "on_path", "words"),
    [
        ("python -m vc2doctor check", ENV, "bash", None, "python -m vc2doctor"),
        ("../e/bin/python -X utf8 -m vc2doctor check", ENV, "bash", None, "../e/bin/python -X utf8 -m vc2doctor"),
        (f"{ENV}/bin/python {ENV}/bin/vc2doctor check", ENV, "bash", f"{ENV}/bin/vc2doctor", "vc2doctor"),
        (f"{ENV}/bin/python e/bin/vc2doctor check", ENV, "bash", None, "e/bin/vc2doctor"),
        (f"{CACHE}/bin/python {CACHE}/bin/vc2doctor check", CACHE, "/b/uv tool uvx --from . vc2doctor check", None,
         "uvx --from . vc2doctor"),
        (f"{CACHE}/bin/python {CACHE}/bin/vc2doctor check", CACHE, "uv tool run vc2doctor check", None,
         "uv tool run vc2doctor"),
        (f"{CACHE}/bin/python {CACHE}/bin/vc2doctor check", CACHE, "", None, "uvx vc2doctor"),
        (f"{ENV}/bin/python -m vc2doctor check", ENV, "uv run python -m vc2doctor check", None,
         "uv run python -m vc2doctor"),
        ("/c/pipx/3a1/bin/python /c/pipx/3a1/bin/vc2doctor check", "/c/pipx/3a1", "bash", None, "pipx run vc2doctor"),
        ("/p/pipx/venvs/v/bin/python /l/bin/vc2doctor check", "/p/pipx/venvs/v", "bash", "/l/bin/vc2doctor",
         "vc2doctor"),
        ("python my_script.py check", ENV, "bash", None, "vc2doctor"),
    ],
)  # fmt: skip
def test_words_before_the_verb(original: str, prefix: str, parent: str, on_path: str | None, words: str) -> None:
    typed = original.split()
    is_module = "-m" in typed
    argv = [f"{ENV}/vc2doctor/__main__.py", "check"] if is_module else typed[1:]
    assert program(typed, argv, prefix, parent.split(), on_path) == tuple(words.split())


def test_parent_that_runs_another_command_is_no_launcher() -> None:
    argv = [f"{ENV}/bin/vc2doctor", "check"]
    assert program([f"{ENV}/bin/python", *argv], argv, ENV, ["uv", "run", "make"], None) == (argv[0],)


def test_pipx_run_repeats_what_it_installed(tmp_path: Path) -> None:
    prefix = tmp_path / "pipx" / "3a1"
    prefix.mkdir(parents=True)
    (prefix / "pipx_metadata.json").write_text(json.dumps({"main_package": {"package_or_url": "/a checkout"}}))
    argv = [f"{prefix}/bin/vc2doctor", "check"]
    words = program([f"{prefix}/bin/python", *argv], argv, str(prefix), ["bash"], None)
    assert words == ("pipx", "run", "--spec", "/a checkout", "vc2doctor")


def test_python_m_is_repeated_as_it_was_typed(venv: Venv) -> None:
    venv.add_stack()
    options = ("check", *ON_PAPER, "--python", venv.python, "--format", "json")
    ran = subprocess.run(
        [sys.executable, "-B", "-m", "vc2doctor", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    invocation = json.loads(ran.stdout)["plan"]["invocation"]
    assert invocation["program"] == [sys.executable, "-B", "-m", "vc2doctor"]
    assert invocation["options"] == [["--python", venv.python], ["--accept", "inferred"], ["--no-probe", None]]


def test_uv_run_is_repeated(venv: Venv) -> None:
    uv = shutil.which("uv")
    if uv is None or not sys.platform.startswith("linux"):
        pytest.skip("needs uv, and a system that tells the command of the parent process")
    venv.add_stack()
    started = [uv, "run", "--no-project", "--python", sys.executable, "python", "-m", "vc2doctor"]
    options = ["check", *ON_PAPER, "--python", venv.python, "--format", "json"]
    ran = subprocess.run([*started, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    program_words = json.loads(ran.stdout)["plan"]["invocation"]["program"]
    assert program_words == ["uv", *started[1:]]
