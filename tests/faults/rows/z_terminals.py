"""Z. Terminals, users and odd options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, NotPossibleError, Row, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER, WITHOUT_PRIVILEGES, needs_root

if TYPE_CHECKING:
    from tests.faults.running import Running
    from tests.faults.scene import Scene

_TERMINALS: dict[str, dict[str, str | None]] = {
    "one_column": {"COLUMNS": "1", "LINES": "1"},
    "no_column": {"COLUMNS": "0", "LINES": "0"},
    "an_unknown_type": {"TERM": "nonsense"},
    "no_type": {"TERM": None},
    "colors_forced_and_forbidden": {"FORCE_COLOR": "1", "NO_COLOR": "1", "CLICOLOR_FORCE": "1"},
}


def _terminal(name: str) -> Row:
    def plan(scene: Scene) -> Command:
        scene.file("train.py", HALF_LOOP)
        return Command(("lint", "."), is_on_terminal=True, variables=_TERMINALS[name])

    return Row("Z", f"terminal_with_{name}", f"A terminal with {name.replace('_', ' ')}.", plan, Expected((1,)))


TERMINALS = tuple(map(_terminal, _TERMINALS))


@row("Z", 1, says_not="\x1b")
def colors_forced_in_json(scene: Scene) -> Command:
    """Variables ask for colors, and the report is JSON."""
    scene.file("train.py", HALF_LOOP)
    variables = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1"}
    return Command(("lint", "--format", "json", "."), variables=variables)


@row("Z", 0, 1)
def user_without_a_name_and_a_home(scene: Scene) -> Command:
    """The user id has no name, and there is no home folder."""
    needs_root()
    python = scene.target()
    scene.temporary.chmod(0o777)
    return Command(("check", *ON_PAPER, "--python", python), script=f'exec {WITHOUT_PRIVILEGES} env -u HOME "$@"')


@row("Z", 2, says="report.txt")
def report_of_another_user_in_a_sticky_folder(scene: Scene) -> Command:
    """A user without privileges writes over a report of another one, in a folder like `/tmp`."""
    needs_root()
    scene.file("train.py", HALF_LOOP)
    scene.file("report.txt", "old", 0o666)
    scene.tree.chmod(0o1777)
    return Command(("lint", ".", "--output", "report.txt"), script=f'exec {WITHOUT_PRIVILEGES} "$@"')


@rows(
    "Z",
    {
        "options_after_two_dashes": "lint -- --fix",
        "an_option_without_its_value": "check --python",
        "the_same_option_twice": "schema report lint",
        "a_dash_as_path": "lint -",
        "an_empty_word": "explain ''",
        "an_abbreviated_option": "check --pyth x",
        "a_verb_that_is_none": "nosuch",
        "a_fix_of_a_missing_file": "lint --fix nosuch.py",
    },
    2,
    suite=("options_after_two_dashes",),
)
def usage_with(_: Scene, words: str) -> Command:
    """Options are used in an odd way."""
    return Command(tuple("" if word == "''" else word for word in words.split()))


@row("Z", 1, says_not="private-name")
def redacted_report(scene: Scene) -> Command:
    """`--redact` with a user name in the path of the code: the report does not hold it."""
    scene.file("private-name/train.py", HALF_LOOP)
    variables = {"HOME": str(scene.path("private-name")), "USER": "private-name", "LOGNAME": "private-name"}
    return Command(("lint", "--redact", str(scene.path("private-name"))), variables=variables)


@row("Z", 1, 2, 3)
def terminal_that_is_closed_while_it_is_used(scene: Scene) -> Command:
    """The terminal is closed during a lint, and SIGHUP is ignored, as by `nohup`."""
    scene.file("train.py", HALF_LOOP)

    def meanwhile(running: Running) -> None:
        if running.terminal is None:
            message = "there is no terminal"
            raise NotPossibleError(message)
        running.terminal.hang_up()
        running.wait_for_end()

    script = "trap '' HUP; exec \"$@\""
    return Command(("lint", "."), script=script, is_on_terminal=True, meanwhile=meanwhile)
