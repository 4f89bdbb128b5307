"""I. A reader that has enough: the exit code is still that of the verdict, and nothing is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_FIRST_LINE = 'set -o pipefail; "$@" | head -n 1'
_NO_READER = 'set -o pipefail; "$@" | true'
_QUIET = ("Broken pipe", "BrokenPipe", "Exception ignored", "cannot be written")


@rows("I", {"of_text": "text", "of_json": "json"}, 1, says_not=_QUIET)
def reader_of_nothing_lint(scene: Scene, form: str) -> Command:
    """`lint` with findings, piped to a program that reads nothing."""
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "--format", form, "."), script=_NO_READER)


@rows("I", {"of_text": "text", "of_json": "json"}, 0, says_not=_QUIET)
def reader_of_one_line_check(scene: Scene, form: str) -> Command:
    """`check --no-probe`, piped to `head -n 1`."""
    return Command(("check", *ON_PAPER, "--format", form, "--python", scene.target()), script=_FIRST_LINE)


@rows(
    "I",
    {"schema": "schema report", "help": "check --help", "version": "--version", "page": "explain VC005"},
    0,
    says_not=_QUIET,
    suite=("schema",),
)
def reader_of_nothing(_: Scene, words: str) -> Command:
    """A long text is piped to a program that reads nothing."""
    return Command(tuple(words.split()), script=_NO_READER)


@row("I", 0, says_not=_QUIET)
def reader_of_one_line_of_a_table(_: Scene) -> Command:
    """All models of `headroom`, piped to `head -n 1`."""
    return Command(("headroom",), script=_FIRST_LINE)


@row("I", 2, says_not=_QUIET)
def reader_of_no_errors(_: Scene) -> Command:
    """Wrong usage, with standard error piped to a program that reads nothing: the exit code stays 2."""
    return Command(("check", "--nosuch"), script='set -o pipefail; "$@" 2>&1 >/dev/null | true')


@row("I", 1, says_not=_QUIET)
def closed_pipe_with_ignored_signal(scene: Scene) -> Command:
    """The same with SIGPIPE ignored, as under some batch systems."""
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."), script=f"trap '' PIPE; {_NO_READER}")


@row("I", 1, 3, says_not=_QUIET)
def closed_pipe_while_the_target_runs(scene: Scene) -> Command:
    """Progress goes to a standard error whose reader has ended, while torch is imported."""
    python = scene.target(torch="import time; time.sleep(2)")
    return Command(("check", "--python", python), script='"$@" 2> >(true)')
