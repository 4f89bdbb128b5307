"""What git says of the files of a fix: the root of their repository, and which of them have uncommitted changes."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from vc2doctor.core import shell
from vc2doctor.linter.model import FixError

_SAFE_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
"""A repository can name programs that git runs for a status. None is run here."""
_TIMEOUT_SECONDS = 60
"""Enough for the status of a large repository on a network file system."""


def repository_of(folder: Path) -> Path | None:
    """Return the root of the git repository that a folder is in; ``None``: it is in none, or git is not installed."""
    output = _git(folder, "rev-parse", "--show-toplevel")
    return Path(output.strip()) if output is not None and output.strip() else None


def uncommitted(repository: Path, paths: Iterable[Path]) -> list[str]:
    """Return the files among ``paths`` that git cannot restore: changed since the last commit, or not tracked.

    Raises:
        FixError: git cannot say.
    """
    names = [str(path) for path in paths]
    arguments = ("status", "--porcelain=v1", "-z", "--ignored", "--untracked-files=all", "--", *names)
    output = _git(repository, *arguments) if names else ""
    if output is None:
        message = (
            f"{repository}: git cannot say which files have uncommitted changes. Pass --allow-dirty to write anyway."
        )
        raise FixError(message)
    return sorted(entry[3:] for entry in output.split("\0") if len(entry) > len("XY "))


def undo_command(repository: Path, paths: Iterable[Path]) -> str:
    """Return the command that restores files from the last commit."""
    names = sorted(path.relative_to(repository).as_posix() for path in paths)
    return shell.join(["git", "-C", str(repository), "checkout", "--", *names])


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *_SAFE_OPTIONS, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=_TIMEOUT_SECONDS, text=True, errors="surrogateescape"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
