"""L. Escape sequences must not reach the output, and commands to copy must be quoted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_NEVER = ("\x1b", "\x07", "\x9b", "\x08", "\u202e")
_TITLE = "\x1b]0;owned\x07"


@rows(
    "L",
    {
        "option_value": f"check --precision {_TITLE}x",
        "unknown_option": f"check --{_TITLE}x",
        "command": f"{_TITLE}x",
        "identifier": f"explain {_TITLE}x",
        "model": f"headroom {_TITLE}x",
        "package": f"matrix explain {_TITLE}x==1",
        "path": f"lint {_TITLE}x",
        "interpreter": f"check --python {_TITLE}x",
    },
    2,
    says_not=_NEVER,
    suite=("path",),
)
def argument(_: Scene, words: str) -> Command:
    """An argument holds an escape sequence, and is repeated in an error message."""
    return Command(tuple(words.split(" ")))


@row("L", 1, 3, says_not=_NEVER)
def last_words(scene: Scene) -> Command:
    """The target prints escape sequences, in an exception and before it ends."""
    source = f"import sys; sys.stderr.write({_TITLE!r}); raise ImportError({_TITLE!r} + '\\u202egnp.exe\\x9b31m')"
    return Command(("check", "--python", scene.target(torch=source)))


@row("L", 1, 3, says_not=_NEVER)
def version_of_a_package(scene: Scene) -> Command:
    """The metadata of a package of the target has a version with an escape sequence."""
    python = scene.target()
    info = scene.packages / "torch-2.13.0.dist-info" / "METADATA"
    info.write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0{_TITLE}\n", encoding="utf-8")
    return Command(("check", *ON_PAPER, "--python", python))


@row("L", 1, says_not=_NEVER)
def name_of_a_linted_file(scene: Scene) -> Command:
    """The name of a linted file holds an escape sequence and a line break."""
    scene.file(f"tr{_TITLE}\nain.py", HALF_LOOP)
    return Command(("lint", "."))


@row("L", 0, 1, says_not=_NEVER)
def patch(scene: Scene) -> Command:
    """The code that is patched holds an escape sequence in a comment beside the change."""
    scene.file("train.py", HALF_LOOP.replace("loss.backward()", f"loss.backward()  # {_TITLE}"))
    return Command(("lint", "--fix", "--diff", "--precision", "bf16", "."))


@row("L", 2, says_not=_NEVER)
def settings_value(scene: Scene) -> Command:
    """A wrong value of the settings holds an escape sequence."""
    scene.file("pyproject.toml", '[tool.vc2doctor]\nprecision = "\\u001b]0;owned\\u0007"\n')
    return Command(("check",))


@row("L", 0, says_not=_NEVER, changes=("tree/report.txt",))
def report_in_a_file(scene: Scene) -> Command:
    """The report goes to a file, and names a target with an escape sequence."""
    scene.target()
    scene.venv.rename(scene.path(f"v{_TITLE}"))
    return Command(
        ("check", *ON_PAPER, "--python", f"v{_TITLE}", "--output", "report.txt"),
        script='"$@"; code=$?; cat report.txt; exit $code',
    )


_NAMES = {
    "substitution": "$(touch owned)",
    "backticks": "`touch owned`",
    "semicolon": "x; touch owned",
    "quote": "it's; touch owned #",
    "line_break": "x\ntouch owned",
}


def _commands_are_quoted(scene: Scene, ran: Ran) -> str:
    """Run each command that was printed, with programs of the doctor replaced: nothing else may be run."""
    lines = [line.strip() for line in ran.out.splitlines() if re.search(r"vc2doctor|pip|uv |python", line)]
    commands = [line for line in lines if line.startswith((sys.executable, "vc2doctor", "pip", "uv", "/"))]
    if not commands:
        return f"no command was printed: {ran.out[-500:]}"
    program = scene.root / "harmless"
    program.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    program.chmod(0o755)
    for command in commands:
        harmless = re.sub(r"^\S+", str(program), command)
        subprocess.run(
            ["bash", "-c", harmless],  # noqa: S607 - found on PATH
            cwd=scene.signs,
            capture_output=True,
            check=False,
            env=dict(os.environ),
        )
    return scene.wrong_signs()


def _named(kind: str, name: str) -> Row:
    def plan(scene: Scene) -> Command:
        scene.target()
        scene.venv.rename(scene.path(name))
        return Command(("check", *ON_PAPER, "--python", name))

    sentence = (
        f"The folder of the target is called like a command ({kind.replace('_', ' ')}), and commands are printed."
    )
    return Row(
        "L", f"command_for_a_target_with_a_{kind}", sentence, plan, Expected((0, 1, 3), verify=_commands_are_quoted)
    )


NAMED = tuple(_named(kind, name) for kind, name in _NAMES.items())
