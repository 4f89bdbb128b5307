"""What git says of the files of a fix: their repository, and which of them it can restore.

A repository is data that others wrote. Its configuration can name programs that git runs to compare files (filters,
``core.fsmonitor``), and its index can hide changes (``assume-unchanged``, ``skip-worktree``). So no file is compared by
git: it only prints what the last commit holds, and that is compared here.
"""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vc2doctor.core import reading, shell
from vc2doctor.linter.model import FixError

_SAFE_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")
"""A repository can name programs for git to run, and servers to ask for what it lacks. Neither is done here."""
_TIMEOUT_SECONDS = 60
"""Enough to list a large repository on a network file system."""
_PATTERN = re.compile(r"[*?\[\\]|^:")
"""What makes a name a pattern for git, which could match other files, too."""
_SKIPPED = "S"
"""The tag of a file with the flag ``skip-worktree``: ``git help ls-files``."""


def repository_of(folder: Path) -> Path | None:
    """Return the root of the git repository that a folder is in, or ``None``.

    The folders are looked at, and git is not asked: a repository that git refuses to read is one all the same.
    """
    folder = folder.resolve()
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)


def by_repository(paths: Iterable[Path]) -> dict[Path | None, list[Path]]:
    """Return the real paths of files by the root of their repository; ``None``: they are in none.

    The files of one project can be in several repositories: submodules, and links to other folders.
    """
    groups: dict[Path | None, list[Path]] = defaultdict(list)
    for path in sorted(path.resolve() for path in paths):
        groups[repository_of(path.parent)].append(path)
    return groups


def uncommitted(paths: Iterable[Path]) -> list[Path]:
    """Return the files among ``paths`` that are not in the last commit as they are now: git cannot restore them.

    Files outside of every repository are left out. A file with another version in the index counts as well, because
    restoring it would throw that version away.

    Raises:
        FixError: git cannot say.
    """
    found: list[Path] = []
    for repository, below in by_repository(paths).items():
        if repository is not None:
            found += set(below) - _restorable(repository, below)
    return sorted(found)


def undo_command(repository: Path, paths: Iterable[Path]) -> str:
    """Return the command that restores files from the last commit. ``git restore`` is younger than some clusters' git.

    Raises:
        FixError: git cannot say how it treats the files.
    """
    names = sorted(_name(repository, path) for path in paths)
    tags = {name: description.split(" ")[0] for description, name in _entries(repository, "ls-files", "-t", "-s", "-z")}
    literal = ["--literal-pathspecs"] if any(map(_PATTERN.search, names)) else []
    skipped = ["--ignore-skip-worktree-bits"] if any(tags.get(name) == _SKIPPED for name in names) else []
    return shell.join(["git", *literal, "-C", str(repository), "checkout", *skipped, "HEAD", "--", *names])


def _name(repository: Path, path: Path) -> str:
    return path.relative_to(repository).as_posix()


def _committed(repository: Path) -> dict[str, str]:
    """Return the object of each file of the last commit that is the same in the index; none before the first commit.

    Raises:
        FixError: git cannot say, or takes another folder for the root.
    """
    top = os.fsdecode(_git(repository, "rev-parse", "--show-toplevel")).removesuffix("\n")
    if Path(top).resolve() != repository:
        # A .git that is no repository, inside of one that is; or core.worktree names another folder.
        raise _cannot_say(repository, f"git takes {top} for the root")
    try:
        _git(repository, "rev-parse", "--verify", "--quiet", "HEAD")
    except FixError:
        return {}
    staged = {
        name: description.split(" ")[2] for description, name in _entries(repository, "ls-files", "-t", "-s", "-z")
    }
    committed = _entries(repository, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    objects = {name: description.split(" ")[2] for description, name in committed}
    return {name: each for name, each in objects.items() if staged.get(name) == each}


def _entries(repository: Path, *arguments: str) -> Iterator[tuple[str, str]]:
    """Yield the description and the name of each file that a command of git lists."""
    for entry in os.fsdecode(_git(repository, *arguments)).split("\0"):
        description, tab, name = entry.partition("\t")
        if tab:
            yield description, name


def _restorable(repository: Path, paths: Iterable[Path]) -> set[Path]:
    """Return the files whose content git has, and not only their names: an object can be damaged or missing.

    Raises:
        FixError: git cannot say, or cannot read an object.
    """
    committed = _committed(repository)
    objects = {path: committed[name] for path in paths if (name := _name(repository, path)) in committed}
    if not objects:
        return set()
    contents = {path: _contents(path) for path in objects}
    # The sizes come first, so that an object of gigabytes is not read.
    sizes = _sizes(repository, set(objects.values()))
    candidates = {path for path in objects if sizes[objects[path]] in map(len, contents[path])}
    blobs = _blobs(repository, {objects[path]: sizes[objects[path]] for path in candidates})
    return {path for path in candidates if blobs[objects[path]] in contents[path]}


def _contents(path: Path) -> tuple[bytes, ...]:
    """Return what git may have stored for a file as it is now; nothing if it cannot be read."""
    try:
        data = reading.read_bytes(path)
    except reading.ReadError:
        return ()
    # git can store the ends of lines in another way than it checks them out.
    return data, data.replace(b"\r\n", b"\n")


def _sizes(repository: Path, objects: Iterable[str]) -> dict[str, int]:
    """Return the size of each object.

    Raises:
        FixError: git lacks an object, or cannot read it.
    """
    sizes: dict[str, int] = {}
    for line in _git(repository, "cat-file", "--batch-check", stdin=_lines(objects)).decode().splitlines():
        name, _, rest = line.partition(" ")
        size = rest.rpartition(" ")[2]
        if not size.isdigit():
            raise _cannot_say(repository, f"object {name} is {rest}")
        sizes[name] = int(size)
    return sizes


def _blobs(repository: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Return the content of each object, whose sizes are known.

    Raises:
        FixError: git cannot read an object.
    """
    output = _git(repository, "cat-file", "--batch", stdin=_lines(sizes))
    blobs: dict[str, bytes] = {}
    start = 0
    for name, size in sizes.items():
        # A line with name, type and size, then the content and a line break.
        start = output.index(b"\n", start) + 1
        blobs[name] = output[start : start + size]
        start += size + 1
    return blobs


def _lines(objects: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in objects).encode()


def _git(repository: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Return what git prints, if ``stdin`` is its standard input.

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
            input=stdin,
            env={**variables, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _cannot_say(repository, f"git does not answer ({type(error).__name__})") from error
    if done.returncode != 0:
        lines = os.fsdecode(done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
        # Warnings can come before the reason.
        raise _cannot_say(repository, next((line for line in lines if line.startswith("fatal:")), lines[0]))
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
