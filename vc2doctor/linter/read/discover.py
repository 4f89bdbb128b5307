"""Finds the files to read: the project's own files, each once."""

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from vc2doctor.core import reading
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read import formats
from vc2doctor.linter.read.gitignore import GitIgnore
from vc2doctor.linter.read.vendored import copied_library, folders_of_library, libraries_around
from vc2doctor.matrix.quantized_formats import FORMATS
from vc2doctor.target.doors import DOORS

CODE_ENDINGS = (".py", ".ipynb")

MAX_CODE_BYTES, MAX_DATA_BYTES = 8 * 1024 * 1024, 256 * 1024
"""Larger code is generated; larger data is a vocabulary or a data set. Neither is read."""

_SKIPPED_FOLDERS = {
    *(".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "__pycache__", "site-packages"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", "build", "dist", ".eggs"),
}
_FOREIGN_FOLDERS = re.compile(r"third_?party|3rd_?party|vendor(ed)?|extern(al)?s?|submodules", re.IGNORECASE)
"""Names that say that a folder holds the code of others. The copy of a library is recognized by its contents."""
# A Python file without any of these words neither affects precision nor shows how the code trains. It is parsed only if
# it defines a base class of a class in a file that was parsed. `in` searches for a word in bytes about 20 times as fast
# as one regular expression searches for all of them, so an expression follows only where a word needs its surroundings.
_PRECISION_WORDS: tuple[bytes, ...] = (
    *(b"autocast", b"GradScaler", b"float16", b"fp16", b"bf16", b"grad_norm", b".backward(", b"torch_dtype"),
    *(b"is_bf16_supported", b"gradient_clip", b"rsqrt", b".pow(2", b"optimizer", b"precision", b"Trainer"),
    # yacs and its users write keys in capitals.
    *(b"FP16", b"BF16", b"CLIP_GRAD", b"GRAD_CLIP", b"GRADIENT_CLIP", b"MAX_GRAD_NORM"),
    *(b"isnan", b"isfinite", b"isinf", b"set_default_dtype", b"set_default_tensor_type"),
    *(word.encode() for word in sorted({word for door in DOORS.values() for word in door.words})),
    *(sign.rpartition(".")[2].encode() for form in FORMATS for sign in form.signs),
)
_PRECISION_PATTERNS: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    (b"half", re.compile(rb"\bhalf\b")),
    (b"amp", re.compile(rb"\bamp\b")),
    (b"token_id", re.compile(rb"token_id\b")),
    (b"1e", re.compile(rb"-\s*1e\+?\d")),
)
"""A word, and the expression that decides where the word is found."""


class FileToRead(NamedTuple):
    """A file below the paths of the user."""

    path: Path
    name: str
    """The path relative to the root of the project, with slashes."""
    is_ignored: bool
    """``.gitignore`` names the file. It is read only if the project's own code imports it."""


class LeftOut(NamedTuple):
    """A folder or a file that is not read."""

    name: str
    """The path relative to the root of the project, with slashes."""
    reason: str
    """Why it is not read, as the end of a sentence that begins with the path."""
    files: int
    """How many Python files and notebooks are in it."""


class FilesFound(NamedTuple):
    """What is below the paths of the user."""

    files: tuple[FileToRead, ...]
    left_out: tuple[LeftOut, ...]


def root_of(paths: tuple[Path, ...]) -> Path:
    """Return the folder that names are relative to: the nearest common folder of ``paths``."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    return Path(os.path.commonpath([str(folder.resolve()) for folder in folders]))


def find_files(paths: tuple[Path, ...], root: Path) -> FilesFound:
    """Return the files below ``paths``, sorted by name, each once; and what is left out.

    Links to folders are not followed, so that loops of links end. Folders that ``.gitignore`` names, copies of
    libraries, and files that are too large are left out. What is itself one of ``paths`` is never left out.

    Raises:
        LintError: a path does not exist.
    """
    seen: set[str] = set()
    files: list[FileToRead] = []
    left_out: dict[str, LeftOut] = {}
    for path in paths:
        if not path.exists():
            message = f"{path}: there is no such file or folder"
            raise LintError(message)
        walk = _Walk(path.resolve(), root) if path.is_dir() else None
        found = walk.files() if walk is not None else [_single(path, root)]
        for file in sorted(found, key=lambda file: file.name):
            # Only a link can lead to a file that has another name, too.
            target = os.path.realpath(file.path) if file.path.is_symlink() or walk is None else str(file.path)
            if target not in seen:
                seen.add(target)
                files.append(file)
        if walk is not None:
            left_out.update((each.name, each) for each in walk.left_out)
    return FilesFound(tuple(files), tuple(left_out[name] for name in sorted(left_out)))


def _single(path: Path, root: Path) -> FileToRead:
    """Return a file that is itself one of the paths of the user.

    Raises:
        LintError: it cannot be read, or it is too large.
    """
    try:
        with reading.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except reading.ReadError as error:
        raise LintError(str(error)) from error
    if size > limit_of(path.name):
        message = f"{path}: larger than {limit_of(path.name) // 1024:,} KiB, so it is not read"
        raise LintError(message)
    # Only the folder is resolved: if the file itself is a link, its target may lie outside of the root.
    absolute = path.parent.resolve() / path.name
    return FileToRead(path, _name(str(absolute), root), is_ignored=False)


class _Walk:
    """One walk below a folder, without the folders that hold no code of the project."""

    def __init__(self, top: Path, root: Path) -> None:
        self._top = top
        self._root = root
        self._suffixes = CODE_ENDINGS + formats.suffixes()
        self._own_libraries = libraries_around(top)
        self.left_out: list[LeftOut] = []

    def files(self) -> Iterator[FileToRead]:
        git_ignore = GitIgnore(self._top)
        for folder, subfolders, files in os.walk(self._top, onerror=self._unlisted):
            if folder != str(self._top) and self._is_copy(folder, files, subfolders):
                subfolders.clear()
                continue
            if ".gitignore" in files:
                git_ignore.read_folder(Path(folder))
            if folder != str(self._top):
                subfolders[:] = self._without_programs_of_library(folder, files, subfolders)
            # os.walk goes into the folders that are left in its list.
            subfolders[:] = sorted(name for name in subfolders if self._is_entered(folder, name, git_ignore))
            for file in files:
                path = f"{folder}/{file}"
                if file.lower().endswith(self._suffixes) and self._is_small_enough(path):
                    yield FileToRead(Path(path), _name(path, self._root), git_ignore.ignores(path))

    def _unlisted(self, error: OSError) -> None:
        reason = f"cannot be listed: {error.strerror or error}"
        self.left_out.append(LeftOut(_name(str(error.filename), self._root), reason, 0))

    def _is_entered(self, folder: str, name: str, git_ignore: GitIgnore) -> bool:
        path = f"{folder}/{name}"
        if name in _SKIPPED_FOLDERS or git_ignore.ignores(f"{path}/"):
            return False
        if _FOREIGN_FOLDERS.fullmatch(name):
            self._leave_out(path, "is a folder for the code of others, by its name")
            return False
        return True

    def _is_copy(self, folder: str, files: list[str], subfolders: list[str]) -> bool:
        library = copied_library(folder, files, subfolders)
        if library is None or library.name in self._own_libraries:
            return False
        self._leave_out(folder, f"is a copy of {library.title}")
        return True

    def _without_programs_of_library(self, folder: str, files: list[str], subfolders: list[str]) -> list[str]:
        found = folders_of_library(folder, files, subfolders)
        if found is None or found[0] in self._own_libraries:
            return subfolders
        library, own = found
        for name in own:
            self._leave_out(f"{folder}/{name}", f"belongs to a copy of the repository of {library}")
        return [name for name in subfolders if name not in own]

    def _leave_out(self, folder: str, reason: str) -> None:
        count = sum(file.lower().endswith(CODE_ENDINGS) for _, _, files in os.walk(folder) for file in files)
        if count:
            self.left_out.append(LeftOut(_name(folder, self._root), reason, count))

    def _is_small_enough(self, path: str) -> bool:
        is_code = path.lower().endswith(CODE_ENDINGS)
        try:
            status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and a large tree has thousands
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode):
            return False
        is_small = status.st_size <= (MAX_CODE_BYTES if is_code else MAX_DATA_BYTES)
        if is_code and not is_small:
            reason = f"is larger than {MAX_CODE_BYTES // 1024**2} MiB"
            self.left_out.append(LeftOut(_name(path, self._root), reason, 1))
        return is_small


def limit_of(name: str) -> int:
    """Return how many bytes of a file are read at most, by the ending of its name."""
    return MAX_CODE_BYTES if name.lower().endswith(CODE_ENDINGS) else MAX_DATA_BYTES


def _name(path: str, root: Path) -> str:
    """Return a path relative to the root, with slashes."""
    prefix = f"{root}{os.sep}"
    # A slice is much faster than `relpath`, and the walk of a large tree makes thousands of names.
    relative = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, root)
    return _printable(relative.replace(os.sep, "/"))


def _printable(name: str) -> str:
    """Return a file name as text; bytes that are not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def mentions_precision(data: bytes) -> bool:
    """Return whether a Python file has a word that any rule could be about."""
    if any(word in data for word in _PRECISION_WORDS):
        return True
    return any(word in data and pattern.search(data) is not None for word, pattern in _PRECISION_PATTERNS)


def computes(data: bytes) -> bool:
    """Return whether a Python file can compute with tensors, or make modules that do."""
    return b"torch" in data


def is_excluded(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a pattern matches the path or one of its parent folders."""
    parts = name.split("/")
    folders = ["/".join(parts[:length]) for length in range(1, len(parts))]
    return any(
        fnmatch(name, pattern) or any(fnmatch(folder, pattern.rstrip("/")) for folder in folders)
        for pattern in patterns
    )
