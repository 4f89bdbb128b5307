"""Commands of a script that a comment between their continued lines ends: what follows never reaches the program."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding

_URL = "https://www.gnu.org/software/bash/manual/html_node/Comments.html"


def cut_commands(unit: Unit) -> Iterator[CodeFinding]:
    """Yield the comments that end a command before its last flags."""
    for launch in unit.launches:
        if launch.cut_line is not None and not is_inference_path(launch.script):
            yield build.at_line(
                launch.script,
                launch.cut_line,
                "VC106",
                Severity.ERROR,
                "this comment ends the command: the flags on the lines after it never reach the program",
                evidence=(f"the command begins at {launch.script}:{launch.line}",),
                remedy="Move the comment above the command, or delete it.",
                url=_URL,
                role="launch",
            )
