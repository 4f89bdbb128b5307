"""The first screen, the version, and completion by the real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

from tests.conftest import Ran
from vc2doctor.cli.first_screen import EXAMPLES, TASKS
from vc2doctor.cli.main import cli
from vc2doctor.commands import about
from vc2doctor.matrix import load
from vc2doctor.target.shared.protocol import WORKER_VERSION

Doctor = Callable[..., Ran]


def test_doctor_without_arguments_shows_the_first_screen_and_is_no_success(doctor: Doctor) -> None:
    bare, asked = doctor(), doctor("--help")
    assert (bare.code, bare.out) == (2, ""), "a gate whose options got lost must not pass"
    assert (asked.code, asked.err) == (0, "")
    assert bare.err == asked.out


def test_first_screen_speaks_of_nan_and_ends_with_three_examples(doctor: Doctor) -> None:
    screen = doctor("--help").out
    assert "NaN" in screen.split("Options:")[0]
    assert len(EXAMPLES) == 3
    lines = screen.splitlines()
    assert [line.strip() for line in lines[-6:]] == [
        text for command, description in EXAMPLES for text in (f"# {description}", command)
    ]
    assert max(map(len, lines)) <= 80


def test_every_verb_stands_under_a_task_with_its_whole_first_sentence(doctor: Doctor) -> None:
    screen = " ".join(doctor("--help").out.split())
    context = click.Context(cli, **cli.context_settings)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    visible = {name: command for name, command in commands.items() if command is not None and not command.hidden}
    assert visible.keys() == {name for names in TASKS.values() for name in names}
    assert all(f"{title}:" in screen for title in TASKS)
    for name, command in visible.items():
        summary = command.get_short_help_str(1000)
        assert summary.endswith("."), f"{name}: a summary is a whole sentence"
        assert f"{name} {summary}" in screen
    assert "..." not in screen.partition("Options")[2]


def test_group_below_lists_whole_summaries(doctor: Doctor) -> None:
    screen = " ".join(doctor("matrix", "--help").out.split())
    assert "Compile evidence, known issues and the data of wheels into verdicts.json; end with 2 on a" in screen
    assert "..." not in screen.partition("Commands")[2]


def test_verbose_version_says_what_a_report_of_a_bug_needs(doctor: Doctor) -> None:
    assert len(doctor("--version").out.splitlines()) == 1
    ran = doctor("--version", "--verbose")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == doctor("-v", "--version").out, "in any order"
    measured = load.load(load.shipped()).verdicts.measured
    assert f"matrix: measured {measured}, releases listed" in ran.out
    assert f"worker: version {WORKER_VERSION}\n" in ran.out
    assert f"Python: {'.'.join(map(str, sys.version_info[:3]))}" in ran.out
    assert "extras: " in ran.out


def test_verbose_before_a_verb_is_wrong_usage(doctor: Doctor) -> None:
    ran = doctor("--verbose", "schema", "profile")
    assert (ran.code, ran.out) == (2, "")
    assert "--verbose before the verb belongs to --version." in ran.err


def test_extra_is_installed_if_all_that_it_adds_is() -> None:
    requirements = [
        Requirement(text)
        for text in (
            "click>=999",
            'pydantic>=1; extra == "good"',
            'pydantic>=999; extra == "old"',
            'not-a-package-of-anyone; extra == "absent"',
        )
    ]
    names = ("good", "old", "absent")
    assert [about.is_installed(name, requirements) for name in names] == [True, False, False]


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """Environment variables with a ``vc2doctor`` on PATH, as an installation makes it."""
    script = tmp_path / "bin" / "vc2doctor"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom vc2doctor.__main__ import main\n\nmain()\n")
    script.chmod(0o755)
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": root}


COMPLETIONS = {
    # The last line does what the shell does when the user presses the tab key.
    "bash": """
        eval "$(_VC2DOCTOR_COMPLETE=bash_source vc2doctor)"
        COMP_WORDS=({words}) COMP_CWORD={last}; _vc2doctor_completion vc2doctor; printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        compdef() {{ : }}; _describe() {{ print -l -- ${{(P)3}} }}; compadd() {{ print -l -- $@ }}
        eval "$(_VC2DOCTOR_COMPLETE=zsh_source vc2doctor)"
        words=({words}) CURRENT={last}+1; _vc2doctor_completion
    """,
    "fish": """
        _VC2DOCTOR_COMPLETE=fish_source vc2doctor | source
        complete -C "{words}"
    """,
}


@pytest.mark.parametrize("shell", COMPLETIONS)
@pytest.mark.parametrize(
    ("words", "expected", "unexpected"),
    [("vc2doctor ma", "matrix", "lint"), ("vc2doctor lint --pre", "--precision", "--unsafe-fixes")],
)
def test_completion_in_a_real_shell(
    program: dict[str, str], shell: str, words: str, expected: str, unexpected: str
) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    text = COMPLETIONS[shell].format(words=words, last=len(words.split()) - 1)
    options = ["-f"] if shell == "zsh" else ["--no-config"] if shell == "fish" else ["--norc"]
    ran = subprocess.run([path, *options, "-c", text], env=program, capture_output=True, text=True, check=False)
    assert expected in ran.stdout, ran.stderr
    assert unexpected not in ran.stdout


def test_every_command_of_the_doctor_has_a_summary() -> None:
    groups = [cli, *(command for command in cli.commands.values() if isinstance(command, click.Group))]
    for group in groups:
        for name, command in group.commands.items():
            assert command.get_short_help_str(1000), name
