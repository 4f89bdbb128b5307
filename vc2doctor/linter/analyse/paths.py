"""Finds the file that a script or a configuration names, by the path that it gives."""

import re
from collections.abc import Collection, Iterator
from posixpath import normpath

from vc2doctor.linter.read.config import Launch

_FOLDER_OF_SCRIPT = re.compile(r"[$`(].*\bdirname\b[^)`]*(\$0|\$\{?0\}?|BASH_SOURCE)[^/]*?(?P<up>(/\.\.)*)[^/]*$")
_WORKING_FOLDER = re.compile(r"^(\$\{?PWD\}?|\$\(pwd\)|`pwd`|\.)$")


def file_named(name: str, path: str, known: Collection[str]) -> str | None:
    """Return the file that ``path`` in the file ``name`` means; ``None``: there is none, or only a run can tell.

    The working folder is unknown: it can be the folder of the file and every folder above it.
    """
    return _first_known(path, folders_above(name), name.rpartition("/")[0], known)


def file_of_launch(launch: Launch, path: str, known: Collection[str]) -> str | None:
    """Return the file that ``path`` in a command means; ``None``: there is none, or only a run can tell.

    The working folder is one from which the command's program can be found, if there is such a folder.
    """
    script_folder = launch.script.rpartition("/")[0]
    return _first_known(path, _working_folders(launch, known), script_folder, known)


def program_of_launch(launch: Launch, known: Collection[str]) -> str | None:
    """Return the file of the program that a command starts, or ``None``."""
    folders = tuple(_after_cd(launch)) or folders_above(launch.script)
    script_folder = launch.script.rpartition("/")[0]
    return _first_known(launch.program, (*folders, *_folder_of_program(launch, known)), script_folder, known)


def folders_above(name: str) -> tuple[str, ...]:
    """Return the folder of a file and every folder above it, the nearest first; ``""`` is the root."""
    parts = name.split("/")[:-1]
    return tuple("/".join(parts[:length]) for length in range(len(parts), -1, -1))


def _working_folders(launch: Launch, known: Collection[str]) -> tuple[str, ...]:
    folders = tuple(_after_cd(launch)) or folders_above(launch.script)
    folders = (*folders, *_folder_of_program(launch, known))
    script_folder = launch.script.rpartition("/")[0]
    with_program = [folder for folder in folders if _first_known(launch.program, (folder,), script_folder, known)]
    return tuple(with_program) or folders


def _folder_of_program(launch: Launch, known: Collection[str]) -> tuple[str, ...]:
    """Return the only folder that has the program of a command in a document, which seldom names its folder."""
    if not launch.is_documented or launch.folder is not None:
        return ()
    ending = f"/{normpath(launch.program)}"
    folders = [name.removesuffix(ending) for name in known if name.endswith(ending)]
    return tuple(folders) if len(folders) == 1 else ()


def _after_cd(launch: Launch) -> Iterator[str]:
    """Yield the folders that the ``cd`` of a script can lead to; none if there is no ``cd``, or a variable in it."""
    if launch.folder is not None:
        script_folder = launch.script.rpartition("/")[0]
        for folder in folders_above(launch.script):
            target = _joined(launch.folder, folder, script_folder)
            if target is not None:
                yield target


def _first_known(path: str, folders: tuple[str, ...], script_folder: str, known: Collection[str]) -> str | None:
    candidates = (_joined(path, folder, script_folder) for folder in folders)
    return next((candidate for candidate in candidates if candidate is not None and candidate in known), None)


def _joined(path: str, working_folder: str, script_folder: str) -> str | None:
    """Return a path relative to the root; ``None``: it is outside, or has a variable that only a run knows."""
    head, slash, rest = _split_head(path)
    of_script = _FOLDER_OF_SCRIPT.search(head)
    if of_script is not None:
        working_folder, path = script_folder + of_script.group("up"), rest
    elif _WORKING_FOLDER.match(head):
        path = rest
    elif slash and not head:
        return None
    if any(mark in path for mark in "$`~"):
        return None
    joined = normpath(f"{working_folder or '.'}/{path}")
    return None if joined.startswith("..") else joined


def _split_head(path: str) -> tuple[str, str, str]:
    """Return the first part of a path, the slash, and the rest; a command in the first part can have slashes."""
    depth = 0
    for position, character in enumerate(path):
        depth += (character in "({") - (character in ")}")
        if character == "/" and depth == 0:
            return path[:position], "/", path[position + 1 :]
    return path, "", ""
