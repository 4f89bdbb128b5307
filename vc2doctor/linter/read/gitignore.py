"""Reads ``.gitignore`` files as git does: a file that git tracks is never ignored."""

import contextlib
import struct
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vc2doctor.core import patterns, reading

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# The layout of a git index: https://git-scm.com/docs/index-format. Sizes and offsets are in bytes.
_HEADER_SIZE = 12
_ENTRY_SIZES = (62, 74)
"""The part of an entry that has a fixed size, with an object name of 20 bytes (SHA-1) and of 32 (SHA-256). Its last two
bytes are the flags; the name follows."""
_NAME_LENGTH_MASK = 0xFFF
"""The part of the flags that holds the length of the name, or this number for a longer one."""
_MAX_POINTER_BYTES = 16 * 1024
"""Of the file ``.git`` of a linked worktree or a submodule, which holds one path."""
MAX_INDEX_BYTES = 256 * 1024 * 1024
"""An entry takes about 100 bytes; the index of the Linux kernel has 9 MB."""
MAX_IGNORE_BYTES = 256 * 1024
MAX_LINES = 10_000
"""Lines of all ignore files of one walk. Each takes about 1 ms to compile."""
_EXTENDED_FLAG = 0x4000
"""The entry has two more bytes of flags before its name (version 3)."""


class GitIgnore:
    """The ignore files that apply below a folder. Those of subfolders are read during the walk."""

    def __init__(self, top: Path) -> None:
        self._specs: dict[str, GitIgnoreSpec] = {}
        """Folder (ends in ``/``) → the patterns of its ignore file."""
        self._lines_left = MAX_LINES
        self._tracked_files: frozenset[str] = frozenset()
        self._tracked_folders: frozenset[str] = frozenset()
        self._work_tree = ""
        for folder in [top, *top.parents]:
            self.read_folder(folder)
            if (folder / ".git").exists():
                self._read_tracked(folder)
                break
        if self.ignores(f"{top}/"):
            # An ignored folder passed on the command line is linted.
            self._specs.clear()
            self.read_folder(top)

    def _read_tracked(self, work_tree: Path) -> None:
        self._work_tree = f"{work_tree}/"
        self._tracked_files = tracked_files(_git_directory(work_tree))
        self._tracked_folders = frozenset(
            f"{folder}/" for name in self._tracked_files for folder in PurePosixPath(name).parents
        )

    def read_folder(self, folder: Path) -> None:
        """Read the ignore file of a folder, if there is one."""
        lines = reading.text_or_empty(folder / ".gitignore", MAX_IGNORE_BYTES).splitlines()
        if lines and self._lines_left > 0:
            self._specs[f"{str(folder).rstrip('/')}/"] = patterns.gitignore(lines[: self._lines_left])
            self._lines_left -= len(lines)

    def ignores(self, path: str) -> bool:
        """Return whether a path is ignored; the path of a folder ends in ``/``."""
        if self._tracked_files and path.startswith(self._work_tree):
            name = path[len(self._work_tree) :]
            if name in self._tracked_files or name in self._tracked_folders:
                return False
        return any(
            path.startswith(folder) and spec.match_file(path[len(folder) :]) for folder, spec in self._specs.items()
        )


def _git_directory(work_tree: Path) -> Path:
    """Return the git directory of a work tree. In linked worktrees and submodules, ``.git`` is a file with its path.

    https://git-scm.com/docs/gitrepository-layout
    """
    git = work_tree / ".git"
    key, colon, target = reading.text_or_empty(git, _MAX_POINTER_BYTES).partition("gitdir: ")
    return work_tree / target.rstrip("\n") if colon and not key else git


def tracked_files(git: Path) -> frozenset[str]:
    """Return the files that the index of a git directory lists.

    The result is empty if there is no index, or if its format is neither version 2 nor 3. The index is read as a file,
    because git itself can run programs that the repository's configuration names (``core.fsmonitor``).
    """
    try:
        data = reading.read_bytes(git / "index", MAX_INDEX_BYTES)
        magic, version, _ = struct.unpack(">4sII", data[:_HEADER_SIZE])
    except (reading.ReadError, struct.error):
        return frozenset()
    if magic == b"DIRC" and version in (2, 3):
        for entry_size in _ENTRY_SIZES:
            with contextlib.suppress(struct.error, ValueError):
                return _names(data, entry_size)
    return frozenset()


def _names(data: bytes, entry_size: int) -> frozenset[str]:
    """Return the names in an index.

    Raises:
        struct.error: the index ends too early, or its entries have another size.
        ValueError: the same.
    """
    (count,) = struct.unpack(">I", data[_HEADER_SIZE - 4 : _HEADER_SIZE])
    names, offset = set(), _HEADER_SIZE
    for _ in range(count):
        (flags,) = struct.unpack(">H", data[offset + entry_size - 2 : offset + entry_size])
        start = offset + entry_size + (2 if flags & _EXTENDED_FLAG else 0)
        end = data.index(b"\0", start)
        if min(end - start, _NAME_LENGTH_MASK) != flags & _NAME_LENGTH_MASK:
            message = "the name of an entry has another length than its flags say"
            raise ValueError(message)
        names.add(data[start:end].decode("utf-8", "replace"))
        # NUL bytes fill an entry up to a multiple of 8 bytes; there is at least one.
        offset += (end - offset) // 8 * 8 + 8
    return frozenset(names)
