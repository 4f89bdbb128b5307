"""The man page, made from the help of the commands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from vc2doctor.cli.first_screen import EXAMPLES, FirstScreen
from vc2doctor.cli.main import cli

_ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"`([^`]+)`")
_FILES = (
    ("pyproject.toml", "The nearest one at or above the working directory. Its table [tool.vc2doctor] is read."),
    ("GITHUB_STEP_SUMMARY", "Variable of GitHub Actions: the file that --job-summary adds the report to."),
)
_EXIT_STATUS = (
    ("0", "fit; from matrix explain: verified or compatible"),
    ("1", "findings at or above --fail-on; from matrix explain: incompatible"),
    ("2", "wrong usage: an option, an interpreter, a settings file, a matrix file, or your own function"),
    ("3", "the examination could not be finished, or nothing shows that training works"),
    ("125", "from gate: the command was not started"),
)


def page() -> str:
    """Return the man page ``vc2doctor(1)`` in roff.

    A process of its own makes it: click keeps the option for help of each command as the first context made it, and in
    a process of tests that can be any.
    """
    command = [sys.executable, "-m", "tests.pages.man"]
    made = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
    return made.stdout


def _lines() -> Iterator[str]:
    # With the settings of a real run.
    context = click.Context(cli, info_name="vc2doctor", **cli.context_settings)
    summary, *paragraphs = (cli.help or "").split("\n\n")
    # No date and no version: the page is made again, and compared, by the tests.
    # Left-adjusted and without hyphens: commands and options stay in one piece.
    yield from ('.TH VC2DOCTOR 1 "" "vc2doctor" "User Commands"', ".nh", ".ad l", ".SH NAME")
    yield f"vc2doctor \\- {_text(_first_lower(_joined(summary)).rstrip('.'))}"
    yield from (".SH SYNOPSIS", ".B vc2doctor", "[\\fIOPTIONS\\fR] \\fIVERB\\fR [\\fIARGUMENTS\\fR]", ".SH DESCRIPTION")
    yield from _paragraphs(paragraphs)
    assert isinstance(cli, FirstScreen)
    for title, names in cli.tasks(context).items():
        yield from (".PP", f"{_text(title)}:")
        for name in names:
            yield from _entry(name, cli.summary(context, name))
    yield ".SH OPTIONS"
    yield from _options(context)
    yield ".SH VERBS"
    for name in cli.list_commands(context):
        yield from _verb(cli.get_command(context, name), context)
    for title, entries in (("EXIT STATUS", _EXIT_STATUS), ("FILES AND VARIABLES", _FILES)):
        yield f".SH {title}"
        for name, description in entries:
            yield from _entry(name, description)
    yield ".SH EXAMPLES"
    for command, description in EXAMPLES:
        yield from (".PP", f"{_text(description)}", ".PP", ".nf", f"    {_text(command)}", ".fi")


def _verb(command: click.Command | None, parent: click.Context) -> Iterator[str]:
    """Yield the section of a verb, and those of the verbs below it."""
    if command is None or command.hidden:
        return
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_text(context.command_path)} {_text(usage)}"'
    yield from _paragraphs((command.help or "").split("\n\n"))
    yield from _options(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _verb(command.get_command(context, name), context)


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from _entry(*record)


def _paragraphs(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield from (".PP", _text(_joined(paragraph)))


def _entry(name: str, description: str) -> Iterator[str]:
    # A line may break behind each of many choices.
    yield from (".TP", f".B {_text(name)}".replace("|", "|\\:"), _text(description))


def _text(text: str) -> str:
    """Return text that roff shows as it is; words between backticks become bold."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("…", "\\&...")
    escaped = _CODE.sub(r"\\fB\1\\fR", escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _joined(text: str) -> str:
    return " ".join(text.replace("\b", "").split())


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


if __name__ == "__main__":
    sys.stdout.buffer.write(("\n".join(_lines()) + "\n").encode())
