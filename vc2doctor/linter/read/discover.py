"""Finds the files to read: the project's own files, each once."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from vc2doctor.linter.model import LintError
from vc2doctor.linter.read import formats
from vc2doctor.linter.read.gitignore import GitIgnore
from vc2doctor.target.doors import DOORS

CODE_ENDINGS = (".py", ".ipynb")

MAX_CODE_BYTES, MAX_DATA_BYTES = 8 * 1024 * 1024, 256 * 1024
"""Larger code is generated; larger data is a vocabulary or a data set. Neither is read."""

_SKIPPED_FOLDERS = {
    *(".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "__pycache__", "site-packages"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", "build", "dist", ".eggs"),
}
_VENDORED = re.compile(
    r"(^|/)(third_?party|3rd_?party|vendor(ed)?|extern(al)?s?|submodules|detectron2?|mmcv|mmdet\w*|mmseg\w*|fairseq|apex)/",
    re.IGNORECASE,
)
# A Python file without any of these words neither affects precision nor shows how the code trains. It is parsed only if
# it defines a base class of a class in a file that was parsed.
_PRECISION_WORDS = re.compile(
    rb"autocast|GradScaler|float16|bfloat16|fp16|bf16|\bhalf\b|\bamp\b|grad_norm|\.backward\(|torch_dtype|token_id\b|"
    rb"is_bf16_supported|gradient_clipping|-\s*1e\+?\d|rsqrt|\.pow\(2|optimizer|precision|Trainer|isnan|isfinite|isinf|"
    rb"set_default_(dtype|tensor_type)|"
    + "|".join(sorted({re.escape(word) for door in DOORS.values() for word in door.words})).encode()
)


class FileToRead(NamedTuple):
    """A file below the paths of the user."""

    path: Path
    name: str
    """The path relative to the root of the project, with slashes."""
    is_vendored: bool
    is_ignored: bool
    """``.gitignore`` names the file. It is read only if the project's own code imports it."""


def root_of(paths: tuple[Path, ...]) -> Path:
    """Return the folder that names are relative to: the nearest common folder of ``paths``."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    return Path(os.path.commonpath([str(folder.resolve()) for folder in folders]))


def find_files(paths: tuple[Path, ...], root: Path) -> Iterator[FileToRead]:
    """Yield the files below ``paths``, sorted by name, each once.

    Links to folders are not followed, so that loops of links end. Folders that ``.gitignore`` names and files that are
    too large are left out. A file that is itself one of ``paths`` is always yielded.

    Raises:
        LintError: a path does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            message = f"{path}: there is no such file or folder"
            raise LintError(message)
        files = sorted(_walk(path, root), key=lambda file: file.name) if path.is_dir() else [_single(path, root)]
        for file in files:
            target = file.path.resolve()
            if target not in seen:
                seen.add(target)
                yield file


def _single(path: Path, root: Path) -> FileToRead:
    # Only the folder is resolved: if the file itself is a link, its target may lie outside of the root.
    absolute = path.parent.resolve() / path.name
    name = _printable(absolute.relative_to(root).as_posix())
    return FileToRead(path, name, is_vendored=False, is_ignored=False)


def _walk(top: Path, root: Path) -> Iterator[FileToRead]:
    top = top.resolve()
    git_ignore = GitIgnore(top)
    for folder, subfolders, files in os.walk(top):
        git_ignore.read_folder(Path(folder))
        # os.walk goes into the folders that are left in its list.
        subfolders[:] = sorted(
            name for name in subfolders if name not in _SKIPPED_FOLDERS and not git_ignore.ignores(f"{folder}/{name}/")
        )
        for file in files:
            path = Path(folder, file)
            if file.lower().endswith(CODE_ENDINGS + formats.suffixes()) and _is_small_enough(path):
                name = _printable(path.relative_to(root).as_posix())
                is_vendored = bool(_VENDORED.search(name))
                yield FileToRead(path, name, is_vendored, git_ignore.ignores(str(path)))


def _printable(name: str) -> str:
    """Return a file name as text; bytes that are not UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_small_enough(path: Path) -> bool:
    limit = MAX_CODE_BYTES if path.name.lower().endswith(CODE_ENDINGS) else MAX_DATA_BYTES
    try:
        return path.is_file() and path.stat().st_size <= limit
    except OSError:
        return False


def mentions_precision(data: bytes) -> bool:
    """Return whether a Python file has a word that any rule could be about."""
    return _PRECISION_WORDS.search(data) is not None


def is_excluded(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a pattern matches the path or one of its parent folders."""
    parts = name.split("/")
    folders = ["/".join(parts[:length]) for length in range(1, len(parts))]
    return any(
        fnmatch(name, pattern) or any(fnmatch(folder, pattern.rstrip("/")) for folder in folders)
        for pattern in patterns
    )
