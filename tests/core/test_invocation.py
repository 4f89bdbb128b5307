"""Commands that run the doctor again."""

from __future__ import annotations

import shlex

from vc2doctor.core.invocation import Invocation

STARTED = Invocation(
    program=("python", "-m", "vc2doctor"),
    options=(("--python", "../my env/bin/python"), ("--profile", "causal-lm"), ("--no-probe", None)),
)


def test_command_repeats_program_verb_and_options() -> None:
    command = "python -m vc2doctor check --python '../my env/bin/python' --profile causal-lm --no-probe"
    assert STARTED.again() == command


def test_option_replaces_one_of_its_name_and_flags_can_be_left_out() -> None:
    command = STARTED.again(("--profile", "videochat2-mistral"), ("--require", "gpu"), without=("--no-probe",))
    assert shlex.split(command)[3:] == [
        *("check", "--python", "../my env/bin/python"),
        *("--profile", "videochat2-mistral", "--require", "gpu"),
    ]


def test_repeated_option_stays_repeated() -> None:
    started = Invocation(verb="probe", options=(("--text", "one"), ("--text", "two; rm -rf")))
    assert started.again() == "vc2doctor probe --text one --text 'two; rm -rf'"


def test_value_that_looks_like_an_option_is_joined_to_its_name() -> None:
    assert Invocation(options=(("--text", "-x"),)).again() == "vc2doctor check --text=-x"


def test_other_verb_keeps_only_the_settings_file() -> None:
    started = Invocation(options=(("--python", ".venv"), ("--config", "my settings.toml"), ("--isolated", None)))
    command = started.other("lint", ("--fix", None), arguments=("a folder",))
    assert command == "vc2doctor lint --config 'my settings.toml' --isolated --fix 'a folder'"
