"""What is wrong with a command before anything is examined: files and paths are looked at, and nothing is started."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from vc2doctor.commands import command_files
from vc2doctor.commands.command_line import COMMAND_NAME, CommandReading
from vc2doctor.core import reading
from vc2doctor.core.similar import did_you_mean
from vc2doctor.environment.choice import environment_of
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.formats import config_suffixes

MAX_NEIGHBORS = 1_000
"""Files of a folder whose names are compared with the name of a program that does not exist."""
_LAUNCHER_MODULES = (
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
    "deepspeed.launcher.runner",
)
"""Modules that start the Python file behind them."""
_WRITTEN = ("out", "save", "log", "result", "report", "dump", "write", "metric")
"""Parts of the names of flags whose files the training writes: they need not exist before."""
_READ = frozenset({"config", "configs", "configuration", "cfg", "conf", "deepspeed"})
"""Words in the names of flags whose files a program reads: ``--config``, ``--ds_cfg``, ``model.config``."""
_SEARCHED = frozenset({"name", "dir", "folder"})
"""The same of flags whose values are looked for in a search path: Hydra's ``--config-name``."""
_MAX_FOLDERS = 1_000
"""Folders of a project in which a configuration is looked for."""


def other_interpreter(named: str, origin: str, command: CommandReading, shown: str, gate: str) -> str | None:
    """Return why the verdict on the interpreter ``named`` would not hold for a command; ``None``: it holds.

    ``origin`` says what named the interpreter: ``--python``, or a settings file. ``shown`` is the command in words for
    people, and ``gate`` the words that start the gate. If it is not known what the command starts, the user's word
    counts.
    """
    own = command.python
    if own is None or _is_script(own) or environment_of(named) == environment_of(own):
        return None
    program, _, rest = shown.partition(" ")
    instead = _same_program_of(named, program)
    run_it = (
        f"To train in {named}: {gate} -- {' '.join(filter(None, (instead, rest)))}"
        if instead is not None
        else f"To train in {named}, activate its environment first"
    )
    return (
        f"{origin} names {named}, but the command starts {own} ({command.reason}), so the check would not be about what"
        f" runs. To check {own}, leave out the interpreter: {gate} -- {shown}. {run_it}. Other words of the"
        " command stay as they are."
    )


def missing_program(command: CommandReading, words: Sequence[str], folder: Path) -> str | None:
    """Return that the Python file which a command starts does not exist, with the nearest name; ``None``: it exists.

    Only the words of the command itself count: a script may make a file before it starts it.
    """
    for launch in command.launches if command.is_direct else ():
        name = launch.program
        is_named = launch.script == COMMAND_NAME and name.endswith(".py") and name in words
        if is_named and _is_program(name, words) and command_files.existing_path(name, launch, folder) is None:
            path = folder / name
            where = f" in {path.parent}" if path.parent.is_dir() else f": there is no folder {path.parent}"
            similar = did_you_mean(path.name, _neighbors(path.parent, ".py"))
            return f"there is no file {path.name}{where}.{similar}"
    return None


def _is_program(name: str, words: Sequence[str]) -> bool:
    """Return whether Python starts the file ``name``: after ``-c`` or a module it is an argument, which may be new."""
    before = list(words[: words.index(name)])
    starters = [following for word, following in pairwise([*before, ""]) if word in ("-m", "--module")]
    return "-c" not in before and all(module in _LAUNCHER_MODULES for module in starters)


def missing_config(command: CommandReading, folder: Path) -> str | None:
    """Return that a configuration which a command only reads does not exist, with the nearest name; ``None``: all do.

    Only the flags of the command itself count. A program may look for the file in folders of its own: a file of this
    name anywhere in the project, or a program that was not found, leaves the question open.
    """
    root = command_files.root_of(command, folder) or folder
    for launch in command.launches if command.is_direct else ():
        program = command_files.existing(launch.program, launch, folder)
        if program is None:
            continue
        for flag, name in _read_configs(launch):
            path = Path(os.path.normpath(folder / name))
            is_there = command_files.existing_path(name, launch, folder) is not None
            if not is_there and not (program.parent / name).exists() and not _lies_in_project(path.name, root):
                similar = did_you_mean(path.name, _neighbors(path.parent, path.suffix))
                return f"there is no file {path.name} in {path.parent}, which {flag} names.{similar}"
    return None


def _read_configs(launch: Launch) -> Iterator[tuple[str, str]]:
    """Yield each flag that names a configuration which is only read, and the file."""
    for flag, given in launch.flags.items():
        parts = set(re.split(r"[^a-z]+", flag.lower()))
        is_read = parts & _READ and not parts & _SEARCHED and not any(part in flag.lower() for part in _WRITTEN)
        value = given.value or ""
        is_file = value.endswith(config_suffixes()) and not any(mark in value for mark in "$`*{:")
        if is_read and is_file:
            yield flag, value


def _lies_in_project(name: str, root: Path) -> bool:
    """Return whether a file of this name is in the project, or the project is too large to know."""
    for number, (_, folders, files) in enumerate(os.walk(root)):
        if name in files or number >= _MAX_FOLDERS:
            return True
        folders[:] = [each for each in folders if not each.startswith(".")]
    return False


def missing_configs(launch: Launch, folder: Path) -> Iterator[str]:
    """Yield the configuration files that a command names and that do not exist, without those that it may write."""
    written = {flag.value for name, flag in launch.flags.items() if any(part in name.lower() for part in _WRITTEN)}
    for name in dict.fromkeys(launch.config_paths):
        is_known = not any(mark in name for mark in "$`*{")
        if is_known and name not in written and command_files.existing_path(_value(name), launch, folder) is None:
            yield _value(name)


def _value(word: str) -> str:
    """Return the path in a word such as ``--config=a.yaml`` or ``model.config=a.yaml``."""
    return word.rpartition("=")[2]


def _is_script(python: str) -> bool:
    """Return whether an executable is a script, such as a shim of pyenv: only a run knows what that starts."""
    try:
        return reading.read_start(python, 2) == b"#!"
    except reading.ReadError:
        return True


def _same_program_of(python: str, program: str) -> str | None:
    """Return the program of the environment of ``python`` that stands for ``program``; ``None``: it has none."""
    if program.startswith("python"):
        return python
    path = Path(python).parent / program
    return str(path) if path.is_file() else None


def _neighbors(folder: Path, suffix: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MAX_NEIGHBORS)]
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(suffix))
