"""Lints what a command starts: its program with what that imports, and the files and flags that the command names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vc2doctor.commands import code, command_files, preflight
from vc2doctor.commands.command_line import COMMAND_NAME, CommandReading
from vc2doctor.commands.report import CodeReading
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import Invocation
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.config import Flag, Launch


class CommandCode(NamedTuple):
    """What was read of the code of a command."""

    code: CodeReading
    unread: tuple[str, ...]


def read_code(
    command: CommandReading, folder: Path, installed: Mapping[str, str], source: SettingsSource, invocation: Invocation
) -> CommandCode:
    """Lint what a command starts in ``folder``, for an environment with the ``installed`` versions.

    Code that cannot be read is no error: it is named.

    Raises:
        SettingsError: the settings of the code's project cannot be used.
    """
    root = command_files.root_of(command, folder)
    programs = {launch.program: command_files.existing(launch.program, launch, folder) for launch in command.launches}
    unread = tuple(
        f"{name} is not there, so its code was not read"
        for name, path in programs.items()
        if path is None and name.endswith(".py")
    )
    configs = (name for launch in command.launches for name in preflight.missing_configs(launch, folder))
    unread += tuple(f"{name}, which the command names, does not exist" for name in dict.fromkeys(configs))
    if root is None:
        return CommandCode(CodeReading(), unread)
    launches = tuple(_from_root(launch, folder, root) for launch in command.launches)
    try:
        return CommandCode(code.read(root, installed, source, invocation, launches), unread)
    except LintError as error:
        return CommandCode(CodeReading(), (*unread, str(error)))


def _from_root(launch: Launch, folder: Path, root: Path) -> Launch:
    """Return a command whose names of files are relative to ``root``."""

    def relative(name: str) -> str:
        path = command_files.existing(name, launch, folder)
        return path.relative_to(root).as_posix() if path is not None and path.is_relative_to(root) else name

    flags = {name: _flag(flag, relative) for name, flag in launch.flags.items()}
    return replace(
        launch,
        script=launch.script if launch.script == COMMAND_NAME else relative(launch.script),
        program=relative(launch.program),
        config_paths=tuple(map(relative, launch.config_paths)),
        flags=flags,
        launcher_flags={name: flags[name] for name in launch.launcher_flags if name in flags},
        folder=None,
    )


def _flag(flag: Flag, relative: Callable[[str], str]) -> Flag:
    return flag if flag.value is None or "." not in flag.value else flag._replace(value=relative(flag.value))
