"""H. Text of the target that looks like markup of the terminal, and events that are odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row, rows
from tests.faults.scene import EVENT_PIPE, HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_ODD_EVENTS = {
    "markup_that_is_not_closed": "pipe.emit('importing', package='[/nope]')",
    "markup_of_a_link": "pipe.emit('importing', package='[link=file:///etc/passwd]torch[/link]')",
    "a_package_that_is_a_list": "pipe.emit('importing', package=['[/nope]'])",
    "a_package_of_a_million_characters": "pipe.emit('importing', package='[' * 1000000)",
    "an_unknown_event": "pipe.emit('[/nope]', package='[/nope]')",
    "an_event_without_fields": "pipe.emit('importing')",
    "line_breaks": r"pipe.emit('importing', package='a\nb\r\x1b[2J')",
    "numbers_out_of_range": "pipe.emit('import', package='torch', version='9' * 5000, file=None, seconds=10**400)",
}


def _odd_event(name: str, statement: str) -> Row:
    def plan(scene: Scene) -> Command:
        python = scene.target(torch=f"{EVENT_PIPE}\n{statement}\nimport time; time.sleep(300)")
        return Command(("check", "--timeout", "6", "--python", python), is_on_terminal=True)

    sentence = f"On a terminal, the target sends an event with {name.replace('_', ' ')}, and then sleeps."
    return Row("H", f"event_with_{name}", sentence, plan, Expected((1, 3), says_not=("\x1b[2J",)))


ODD_EVENTS = tuple(_odd_event(name, statement) for name, statement in _ODD_EVENTS.items())


@rows(
    "H",
    {
        "closing_tag": "[/nope]",
        "style": "[red]red[/red]",
        "emoji": ":warning:",
        "brackets": "[[[]]]",
        "backslashes": "\\\\[bold]\\\\",
    },
    1,
    3,
)
def exception_message(scene: Scene, text: str) -> Command:
    """The import of torch fails with a message that holds markup."""
    return Command(("check", "--python", scene.target(torch=f"raise ImportError({text!r})")), is_on_terminal=True)


@row("H", 1, says="[bold]train[/nope].py", in_suite=True)
def name_of_a_linted_file(scene: Scene) -> Command:
    """On a terminal, the name of a linted file holds markup, which must be shown as it is."""
    scene.file("[bold]train[/nope].py", HALF_LOOP)
    return Command(("lint", "."), is_on_terminal=True, variables={"COLUMNS": "200"})


@row("H", 0, 1, says="[bold]v")
def name_of_the_target(scene: Scene) -> Command:
    """On a terminal, the path of the target holds markup."""
    scene.target()
    folder = scene.path("[bold]v")
    scene.venv.rename(folder)
    return Command(("check", *ON_PAPER, "--python", "[bold]v"), is_on_terminal=True, variables={"COLUMNS": "200"})


@row("H", 2, says="[/nope]")
def settings_key(scene: Scene) -> Command:
    """On a terminal, an unknown key of the settings holds markup."""
    scene.file("pyproject.toml", '[tool.vc2doctor]\n"[/nope]" = 1\n')
    return Command(("check",), is_on_terminal=True, variables={"COLUMNS": "200"})
