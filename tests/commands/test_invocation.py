"""The options that lead to a request: the printed command, parsed by the command line, gives the same request."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from vc2doctor.cli.check import check
from vc2doctor.cli.probe import probe
from vc2doctor.commands.invocation import invocation_of
from vc2doctor.commands.request import CheckRequest, ExaminationRequest, ProbeRequest
from vc2doctor.commands.settings import SettingsSource

FILE = Path(__file__)
SHOWN = {"format", "form", "files", "job_summary", "verbose", "help", "redact", "debug", "fresh"}
"""Parameters that choose only how and where the report is shown, or whether an answer may be a kept one."""
ONLY_OF_CHECK = {"baseline", "update_baseline", "accept"}
"""Fields of every request for which only `check` and `gate` have an option."""


def parsed(command: click.Command, line: str) -> dict[str, Any]:
    """Return the parameters that the command line makes of a printed command."""
    words = shlex.split(line)
    return command.make_context(words[1], words[2:]).params


def request_of(command: click.Command, model: type[ExaminationRequest], line: str) -> ExaminationRequest:
    params = {name: value for name, value in parsed(command, line).items() if name not in SHOWN}
    source = SettingsSource(**{name: params.pop(name) for name in ("config", "trust", "isolated")})
    return model(**params, settings_source=source)


@pytest.mark.parametrize(
    "request_",
    [
        CheckRequest(),
        CheckRequest(python="../env/bin/python", profile="causal-lm", matrix=FILE.parent, code=FILE),
        CheckRequest(probe=False, precision="fp16", device="cuda:0", timeout=1234567.5, require_gpu=True),
        CheckRequest(fail_on="warning", settings_source=SettingsSource(config=FILE)),
        CheckRequest(settings_source=SettingsSource(isolated=True), python="-odd name"),
        CheckRequest(settings_source=SettingsSource(trust=True)),
        CheckRequest(probe=False, accept="versions", baseline=FILE),
    ],
    ids=repr,
)
def test_printed_check_gives_the_same_request(request_: CheckRequest) -> None:
    assert request_of(check, CheckRequest, invocation_of(request_).again()) == request_


@pytest.mark.parametrize(
    "request_",
    [
        ProbeRequest(
            entry="my_code:build",
            seed=3,
            attention=("eager", "sdpa"),
            compiled=True,
            deterministic=True,
            recipes=("bf16", "fp32"),
        ),
        ProbeRequest(checkpoint=FILE, texts=("one", "-two; 'three'"), data=FILE, train=True),
        ProbeRequest(stress=True, timeout=0.25, rl=True),
    ],
    ids=repr,
)
def test_printed_probe_gives_the_same_request(request_: ProbeRequest) -> None:
    line = invocation_of(request_).again()
    assert shlex.split(line)[:2] == ["vc2doctor", "probe"]
    assert request_of(probe, ProbeRequest, line) == request_


@pytest.mark.parametrize(("command", "model"), [(check, CheckRequest), (probe, ProbeRequest)])
def test_every_option_of_the_command_line_is_a_field_that_is_repeated(
    command: click.Command, model: type[ExaminationRequest]
) -> None:
    fields = set(model.model_fields) - {"settings", "invocation", "settings_source", "policy", "stack_map", "target"}
    fields -= ONLY_OF_CHECK if model is ProbeRequest else set()
    params = {str(param.name) for param in command.params} - SHOWN - {"config", "trust", "isolated"}
    assert params == fields
