"""AC. What `init` writes: never over a file, never out of the project, and all files or none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import WITHOUT_PRIVILEGES, mounted, needs_root

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_THREE = ("init", "--write", "slurm-job", "tox", "github")
_LINKS: dict[str, str | bytes] = {
    "to_another_folder": "{home}",
    "to_nothing": "{home}/nosuch",
    "to_a_relative_folder": "../home",
    "to_the_root": "/",
}


@rows("AC", _LINKS, 2, says=".github/workflows: a link leads out of the project", suite=("to_another_folder",))
def folder_is_a_link(scene: Scene, target: str) -> Command:
    """A checkout has a link in the place of a folder that a file belongs to: nothing is written."""
    scene.link(".github", target.format(home=scene.home))
    return Command(_THREE)


@row("AC", 2, says="Nothing was written")
def folder_is_a_link_to_itself(scene: Scene) -> Command:
    """A folder that a file belongs to is a link to itself: no other file is written either."""
    scene.link(".github", ".github")
    return Command(_THREE)


@row("AC", 2, says="Nothing was written")
def folder_is_a_file(scene: Scene) -> Command:
    """A file is in the place of a folder: no other file is written either."""
    scene.file(".github", "mine")
    return Command(_THREE)


@row("AC", 0, changes=("tree/ci*",))
def folder_is_a_link_within_the_project(scene: Scene) -> Command:
    """A folder that a file belongs to is a link to another one of the project: it is followed."""
    scene.path("ci").mkdir()
    scene.link(".github", "ci")
    return Command(("init", "--write", "github"))


def _put_folder(scene: Scene) -> None:
    scene.path("tox.ini").mkdir()


def _put_pipe(scene: Scene) -> None:
    scene.fifo("tox.ini")


def _put_link(scene: Scene) -> None:
    scene.link("tox.ini", os.path.relpath(scene.home / "new", scene.tree))


_PUTS = {"a_folder": _put_folder, "a_pipe": _put_pipe, "a_link_to_nothing": _put_link}


@rows("AC", {name: name for name in _PUTS}, 1, says="it is not overwritten")
def file_is(scene: Scene, name: str) -> Command:
    """In the place of the file is something else."""
    _PUTS[name](scene)
    return Command(("init", "--write", "tox"))


@row("AC", 0, changes=("tree/tox.ini",))
def name_twice(_: Scene) -> Command:
    """An integration is named twice: it is written once."""
    return Command(("init", "--write", "tox", "tox"))


@row("AC", 2, says="cannot be")
def folder_of_the_project_is_read_only(scene: Scene) -> Command:
    """A user without privileges may not write to the second of three folders: nothing is written."""
    needs_root()
    scene.path("slurm").mkdir(mode=0o777)
    scene.path("slurm").chmod(0o777)
    return Command(_THREE, script=f'exec {WITHOUT_PRIVILEGES} "$@"')


@row("AC", 2, says="cannot be written", says_not="left: ")
def disk_is_full(scene: Scene) -> Command:
    """The file system of the project has room for one of three files: none is written."""
    command = mounted("size=8k", scene.tree)
    look = f'cd {scene.tree} && "$@"; code=$?; ls -A | sed "s/^/left: /"; exit $code'
    return Command(_THREE, script=command.replace('exec "$@"', look, 1))


@row("AC", 0, says="vc2doctor")
def signs_without_an_end(scene: Scene) -> Command:
    """Files in which signs are looked for are pipes, devices and large: they are left out, or read in part."""
    scene.fifo("a.sh")
    scene.link("b.sh", "/dev/zero")
    scene.link("c.yml", "/dev/tty")
    scene.sparse("d.sh", 1 << 40)
    return Command(("init",))
