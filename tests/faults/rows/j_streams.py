"""J. Standard streams that are closed, full, or something else than a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_STREAMS = {
    "without_standard_error": 'exec "$@" 2>&-',
    "without_standard_output": 'exec "$@" >&-',
    "without_standard_input": 'exec "$@" <&-',
    "without_any": 'exec "$@" <&- >&- 2>&-',
    "with_a_full_standard_error": 'exec "$@" 2>/dev/full',
    "with_a_standard_output_for_reading": 'exec "$@" 1</dev/null',
    "with_a_folder_as_standard_input": 'exec "$@" </',
}


@rows(
    "J",
    {name: script for name, script in _STREAMS.items() if "for_reading" not in name},
    1,
    suite=("without_any",),
)
def lint(scene: Scene, script: str) -> Command:
    """`lint` with findings runs with odd streams: the exit code is that of the verdict."""
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."), script=script)


@rows(
    "J", {"without_any": _STREAMS["without_any"], "without_standard_error": _STREAMS["without_standard_error"]}, 0, 1, 3
)
def check(scene: Scene, script: str) -> Command:
    """`check` runs with odd streams: no file that it opens takes the place of a stream."""
    return Command(
        ("check", "--python", scene.target(torch="import sys; sys.stdout.write('x'); sys.stderr.write('y')")),
        script=script,
    )


@rows(
    "J",
    {"help": "--help", "schema": "schema lint", "lint": "lint .", "page": "explain VC005"},
    2,
    says="standard output cannot be written",
    suite=("schema",),
)
def full_output(scene: Scene, words: str) -> Command:
    """Standard output is a device that is full, so the text is incomplete."""
    scene.file("train.py")
    return Command(tuple(words.split()), script='exec "$@" >/dev/full')


@row("J", 2, says="standard output cannot be written")
def output_that_is_open_for_reading(scene: Scene) -> Command:
    """Standard output is open for reading only."""
    scene.file("train.py")
    return Command(("lint", "."), script=_STREAMS["with_a_standard_output_for_reading"])


@row("J", 2, says="standard output cannot be written")
def output_larger_than_the_limit_of_files(_: Scene) -> Command:
    """Standard output is a file, and no file may be larger than 1 KiB (`ulimit -f`)."""
    return Command(("schema", "report"), script='ulimit -f 1; exec "$@" > ../signs/out')


def _report_is_whole(scene: Scene, _: object) -> str:
    text = scene.path("report.json").read_text(encoding="utf-8")
    return "" if text.startswith("{") and text.rstrip().endswith("}") else f"the report holds {text[:200]!r}"


@row("J", 1, changes=("tree/report.json",), verify=_report_is_whole)
def report_file_without_streams(scene: Scene) -> Command:
    """All streams are closed and the report goes to a file: no message may land in it."""
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "--format", "json", "--output", "report.json", "."), script=_STREAMS["without_any"])
