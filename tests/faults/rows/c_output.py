"""C. Output files that are no regular files: they are written to, or refused, and stay what they are."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from tests.faults.model import Command, row
from tests.faults.scene import HALF_LOOP, needs_root

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.running import Running
    from tests.faults.scene import Scene

_LINT = ("lint", "train.py", "--output")
_NOTHING = "Nothing in these files trains"
"""What the report on an empty file says."""


def _lint(scene: Scene, output: str) -> Command:
    scene.file("train.py")
    return Command((*_LINT, output))


@row("C", 0, in_suite=True)
def output_to_a_device(scene: Scene) -> Command:
    """The output file is a device like `/dev/null`."""
    scene.device("n", 1, 3)
    return _lint(scene, "n")


@row("C", 2, says=("n: cannot be written", "No space left"))
def output_to_a_full_device(scene: Scene) -> Command:
    """The output file is a device that is always full."""
    scene.device("n", 1, 7)
    return _lint(scene, "n")


@row("C", 2, says=("n: cannot be written", "pipe"))
def output_to_a_pipe_without_a_reader(scene: Scene) -> Command:
    """The output file is a pipe that no program reads."""
    scene.fifo("n")
    return _lint(scene, "n")


def _pipe_was_filled(scene: Scene, _: Ran) -> str:
    return "" if _NOTHING in (scene.signs / "read").read_text(encoding="utf-8") else "the pipe got no report"


@row("C", 0, verify=_pipe_was_filled)
def output_to_a_pipe_with_a_reader(scene: Scene) -> Command:
    """The output file is a pipe that another program reads."""
    fifo = scene.fifo("n")

    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def read(running: Running) -> None:
        running.wait_for_end()
        (scene.signs / "read").write_bytes(os.read(reader, 1 << 16))
        os.close(reader)

    command = _lint(scene, "n")
    return Command(command.words, meanwhile=read)


def _link_stays(scene: Scene, _: Ran) -> str:
    written = _NOTHING in scene.path("real.txt").read_text(encoding="utf-8")
    return "" if scene.path("n").is_symlink() and written else "the link was replaced, or its target not written"


@row("C", 0, changes=("tree/real.txt",), verify=_link_stays)
def output_to_a_link(scene: Scene) -> Command:
    """The output file is a link to a file."""
    scene.file("real.txt", "old")
    scene.link("n", "real.txt")
    return _lint(scene, "n")


@row("C", 2, says="cannot be written")
def output_to_links_in_a_circle(scene: Scene) -> Command:
    """The output file is a link to itself."""
    scene.link("n", "n")
    return _lint(scene, "n")


@row("C", 0, changes=("tree/missing.txt",))
def output_to_a_link_without_a_target(scene: Scene) -> Command:
    """The output file is a link to a file that does not exist yet."""
    scene.link("n", "missing.txt")
    return _lint(scene, "n")


@row("C", 2, says="directory")
def output_to_a_folder(scene: Scene) -> Command:
    """The output file is a folder."""
    scene.path("n").mkdir()
    return _lint(scene, "n")


@row("C", 2, says="no/such/n: cannot be written")
def output_into_a_missing_folder(scene: Scene) -> Command:
    """The folder of the output file does not exist."""
    return _lint(scene, "no/such/n")


@row("C", 2, says="cannot be written")
def output_name_that_is_too_long(scene: Scene) -> Command:
    """The name of the output file has 300 characters."""
    return _lint(scene, "n" * 300)


@row("C", 2, says="n: cannot be written")
def output_to_a_socket(scene: Scene) -> Command:
    """The output file is a socket."""
    import socket  # noqa: PLC0415 - for this row

    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket has at most 107 bytes.
        previous = os.open(".", os.O_RDONLY)
        os.chdir(scene.tree)
        server.bind("n")
        os.fchdir(previous)
        os.close(previous)
    return _lint(scene, "n")


def _log_is_kept(scene: Scene, _: Ran) -> str:
    text = scene.path("log").read_text(encoding="utf-8")
    return "" if text.startswith("first\n") and _NOTHING in text else f"the log holds {text!r}"


@row("C", 0, changes=("tree/log",), verify=_log_is_kept)
def output_to_the_own_standard_output(scene: Scene) -> Command:
    """`--output /dev/stdout >> log`: what the log holds already must stay."""
    scene.file("train.py")
    scene.file("log", "first\n")
    return Command((*_LINT, "/dev/stdout"), script='exec "$@" >> log')


def _owner_stays(scene: Scene, _: Ran) -> str:
    status = scene.path("report.txt").stat()
    wrong = (status.st_uid, stat.S_IMODE(status.st_mode)) != (65534, 0o640)
    return f"owner {status.st_uid}, mode {status.st_mode:o}" if wrong else ""


@row("C", 0, changes=("tree/report.txt",), verify=_owner_stays)
def output_over_a_file_of_another_user(scene: Scene) -> Command:
    """Root writes over a report of another user, which only that user may read: owner and mode stay."""
    needs_root()
    path = scene.file("report.txt", "old", 0o640)
    os.chown(path, 65534, 65534)
    return _lint(scene, "report.txt")


@row("C", 2, says="cannot be written")
def patch_to_a_full_device(scene: Scene) -> Command:
    """A patch is written to a device that is full: it would be incomplete."""
    scene.device("n", 1, 7)
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "--diff", "--precision", "bf16", "--fix", "train.py", "--output", "n"))
