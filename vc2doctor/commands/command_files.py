"""The files that a command names, and the project that they belong to."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vc2doctor.commands.command_line import COMMAND_NAME, CommandReading
from vc2doctor.linter.read.config import Launch

_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", ".git")
"""A folder with one of these is the project of the program below it."""


def root_of(command: CommandReading, folder: Path) -> Path | None:
    """Return the folder with the code of a command that is run in ``folder``; ``None``: it names no file."""
    files = [path for launch in command.launches for path in files_of(launch, folder)]
    return _project_of([*files, *((command.script,) if command.script is not None else ())]) if files else None


def files_of(launch: Launch, folder: Path) -> Iterator[Path]:
    """Yield the files that a command names: its program and its configurations."""
    for name in (launch.program, *launch.config_paths):
        path = existing(name, launch, folder)
        if path is not None:
            yield path


def existing(name: str, launch: Launch, folder: Path) -> Path | None:
    """Return the file that a command means by ``name``: from the working folder, or after the ``cd`` of a script."""
    return next((path for path in _candidates(name, launch, folder) if path.is_file()), None)


def existing_path(name: str, launch: Launch, folder: Path) -> Path | None:
    """Return the file or folder that a command means by ``name``; ``None``: there is none."""
    return next((path for path in _candidates(name, launch, folder) if path.exists()), None) if name else None


def _candidates(name: str, launch: Launch, folder: Path) -> Iterator[Path]:
    for base in _working_folders(launch, folder):
        path = Path(os.path.abspath(base / name))  # noqa: PTH100 - links are not resolved, as Python does not
        with contextlib.suppress(OSError, ValueError):
            # This raises an error if the name cannot be a path: it is too long, or has a null byte.
            path.exists()
            yield path


def _working_folders(launch: Launch, folder: Path) -> Iterator[Path]:
    if launch.folder is not None:
        yield folder / launch.folder
    yield folder
    if launch.script != COMMAND_NAME:
        # cd "$(dirname "$0")"
        yield (folder / launch.script).parent


def _project_of(files: list[Path]) -> Path:
    """Return the folder to read: the project of the program, or the folder that holds all the files.

    Without a sign of a project it is the folder of the files only: the home folder must not be searched.
    """
    common = Path(os.path.commonpath([str(file.parent) for file in files]))
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - it raises no error where the home folder is not known
    candidates = [each for each in (common, *common.parents) if each not in (home, *home.parents)]
    marked = next((each for each in candidates if any((each / name).exists() for name in _PROJECT_FILES)), None)
    if marked is not None:
        return marked
    while (common / "__init__.py").is_file():
        common = common.parent
    return common
