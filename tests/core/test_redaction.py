"""What identifies the user, and what must stay secret, is removed from a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ON_PAPER, Venv, make_venv
from vc2doctor.report import formats


def redacted(text: str, **variables: str) -> str:
    """Redact a text in a process of its own, because the names of the machine are read once."""
    source = "import sys; from vc2doctor.core.redaction import redact; sys.stdout.write(redact(sys.stdin.read()))"
    ran = subprocess.run(
        [sys.executable, "-c", source],
        input=text,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_home_user_and_other_homes_are_replaced() -> None:
    text = "/home/alice/venv and '/home/alice' /home/alice2/x /data/home/alice alice_runs alice@box malice /home/bob/y"
    assert redacted(text, HOME="/home/alice", USER="alice", LOGNAME="alice") == (
        "~/venv and '~' /home/USER/x /data/home/USER USER_runs USER@box malice /home/USER/y"
    )


@pytest.mark.parametrize("name", ["root", "debian"])
def test_names_that_every_machine_has_are_kept_as_words(name: str) -> None:
    home = f"/{name}"
    text = f"{home}/venv {name} '{name}' {home}ed"
    assert redacted(text, HOME=home, USER=name, LOGNAME=name) == f"~/venv {name} '{name}' {home}ed"


def test_host_is_replaced() -> None:
    host = os.uname().nodename
    assert redacted(f"on {host}:8080", HOME="/nowhere") == "on HOST:8080"


def test_tokens_passwords_and_the_values_of_secret_variables_are_replaced() -> None:
    text = (
        "hf_abcdefghijklmnopqrstuv ghp_0123456789abcdefghijklmnopqrstuvwxyz eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.SflKx"
    )
    text += " https://me:pw@pypi.example.org/simple --token=Zm9vYmFyMTIzNDU2Nzg5 my-own-secret-value"
    assert redacted(text, WANDB_API_KEY="my-own-secret-value", HOME="/nowhere") == (
        "SECRET SECRET SECRET https://SECRET@pypi.example.org/simple --token=SECRET SECRET"
    )


def test_code_that_is_about_tokens_is_kept() -> None:
    text = "tokenizer.pad_token = tokenizer.eos_token; token: padding_of_the_right_side; hf_hub"
    assert redacted(text, HOME="/nowhere", USER="nobody", LOGNAME="nobody") == text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the home folder of a user called alice, with an environment and training code."""
    folder = tmp_path / "home" / "alice"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("import torch\nmodel.half()\nloss.backward()\noptimizer.step()\n")
    return folder


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github", "gitlab", "markdown"])
@pytest.mark.parametrize("verb", ["check", "lint", "needs"])
def test_no_format_of_no_verb_names_the_user(home: Path, verb: str, form: str) -> None:
    if form not in formats.names("needs" if verb == "needs" else "check"):
        pytest.skip("the verb has no such format")
    environment: Venv = make_venv(home / "venv")
    arguments = {
        "check": ["check", *ON_PAPER, "--python", environment.python, "--code", str(home)],
        "lint": ["lint", str(home)],
        "needs": ["needs", str(home)],
    }[verb]
    variables = {**os.environ, "HOME": str(home), "USER": "alice", "LOGNAME": "alice"}
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        variables.pop(name, None)
    output = home / "report"
    ran = subprocess.run(
        [sys.executable, "-m", "vc2doctor", *arguments, "--redact", "--format", form, "--output", str(output)],
        env=variables,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1, 3), ran.stderr
    text = output.read_text(encoding="utf-8")
    assert "alice" not in text
    assert "alice" not in ran.stderr
    if form == "json":
        assert json.loads(text)["doctor"]


def test_report_that_names_the_user_says_how_to_take_the_names_out(home: Path) -> None:
    environment = make_venv(home / "venv")
    command = [sys.executable, "-m", "vc2doctor", "check", *ON_PAPER, "--python", environment.python]
    variables = {**os.environ, "HOME": str(home), "USER": "alice"}
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=home)
    assert "Pass --redact before you paste it in public." in ran.stdout.splitlines()[-1]
    ran = subprocess.run([*command, "--redact"], env=variables, capture_output=True, text=True, check=False, cwd=home)
    assert "Pass --redact" not in ran.stdout
