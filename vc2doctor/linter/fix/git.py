"""What git says of the files of a fix: their repository, and which of them it can restore.

A repository is data that others wrote. Its configuration can name programs that git runs to compare files (filters,
``core.fsmonitor``), and its index can hide changes (``assume-unchanged``, ``skip-worktree``). So no file is compared by
git: it only lists what the last commit holds, and the content is compared here.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from vc2doctor.core import reading
from vc2doctor.linter.model import FixError

_SAFE_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")
"""A repository can name programs for git to run, and servers to ask for what it lacks. Neither is done here."""
_TIMEOUT_SECONDS = 60
"""Enough to list a large repository on a network file system."""
_SHA256_DIGITS = 64
"""Hexadecimal digits of an object name in a repository of the newer format; the older one has 40."""


def repository_of(folder: Path) -> Path | None:
    """Return the root of the git repository that a folder is in, or ``None``.

    The folders are looked at, and git is not asked: a repository that git refuses to read is one all the same.
    """
    folder = folder.resolve()
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)


def uncommitted(paths: Iterable[Path]) -> list[Path]:
    """Return the files among ``paths`` that are not in the last commit as they are now: git cannot restore them.

    Files outside of every repository are left out.

    Raises:
        FixError: git cannot say.
    """
    by_repository: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        repository = repository_of(path.parent)
        if repository is not None:
            by_repository[repository].append(path.resolve())
    found: list[Path] = []
    for repository, below in by_repository.items():
        names = _committed(repository)
        found += [path for path in below if not _is_committed(path, names.get(path.relative_to(repository).as_posix()))]
    return sorted(found)


def undo_command(repository: Path, paths: Iterable[Path]) -> str:
    """Return the command that restores files from the last commit."""
    names = sorted(path.relative_to(repository).as_posix() for path in paths)
    return shlex.join(["git", "-C", str(repository), "checkout", "HEAD", "--", *names])


def _committed(repository: Path) -> dict[str, str]:
    """Return the object name of each file of the last commit; none before the first commit."""
    _git(repository, "rev-parse", "--git-dir")
    try:
        listed = _git(repository, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    except FixError:
        return {}
    fields = (entry.partition("\t") for entry in listed.split("\0") if entry)
    return {name: description.split(" ")[-1] for description, _, name in fields}


def _is_committed(path: Path, object_name: str | None) -> bool:
    if object_name is None:
        return False
    try:
        data = reading.read_bytes(path)
    except reading.ReadError:
        return False
    # git can store the ends of lines in another way than it checks them out.
    return object_name in {_object_name(text, len(object_name)) for text in (data, data.replace(b"\r\n", b"\n"))}


def _object_name(data: bytes, digits: int) -> str:
    """Return the name that git gives to a file's content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects."""
    content = b"blob %d\0%s" % (len(data), data)
    if digits == _SHA256_DIGITS:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _git(repository: Path, *arguments: str) -> str:
    """Return what git prints.

    Raises:
        FixError: git is not installed, fails, or does not answer.
    """
    program = _program()
    if program is None:
        raise _cannot_say(repository, "git is not installed")
    # The variables of git choose another repository, and programs to run.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            [program, "-C", str(repository), *_SAFE_OPTIONS, *arguments],
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
            text=True,
            errors="surrogateescape",
            stdin=subprocess.DEVNULL,
            env={**variables, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _cannot_say(repository, f"git does not answer ({type(error).__name__})") from error
    if done.returncode != 0:
        raise _cannot_say(repository, (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0])
    return done.stdout


def _cannot_say(repository: Path, reason: str) -> FixError:
    return FixError(
        f"{repository}: this is a git repository, and git cannot say which files have uncommitted changes: {reason}."
        " Fix that, or copy your files and pass --allow-dirty to write anyway."
    )


def _program() -> str | None:
    """Return the git on ``PATH``, of absolute folders only: ``PATH=.`` would run a program of the linted folder."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("git", path=os.pathsep.join(folder for folder in folders if Path(folder).is_absolute()))
