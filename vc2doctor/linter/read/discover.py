"""Which files are read: the project's own, each once, whatever links and ignore files say."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from vc2doctor.linter.model import LintError
from vc2doctor.linter.read.gitignore import Ignored

CODE = (".py", ".ipynb")
DATA = (".yaml", ".yml", ".json", ".sh", ".bash", ".slurm", ".sbatch")

_LARGEST_CODE, _LARGEST_DATA = 8 * 1024 * 1024, 256 * 1024
"""In bytes: beyond, code was written by no person, and data is a vocabulary or a data set."""
_NEVER = {
    *(".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "env", "node_modules", "__pycache__", "site-packages"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", "build", "dist", ".eggs"),
}
_VENDORED = re.compile(
    r"(^|/)(third_?party|3rd_?party|vendor(ed)?|extern(al)?s?|submodules|detectron2?|mmcv|mmdet\w*|mmseg\w*|fairseq|apex)/",
    re.IGNORECASE,
)
# A Python file with none of these words says nothing of precision, and is parsed only when a class that does needs it.
_WORDS = re.compile(
    rb"autocast|GradScaler|float16|bfloat16|fp16|bf16|\bhalf\b|\bamp\b|grad_norm|\.backward\(|torch_dtype|token_id\b|"
    rb"is_bf16_supported|gradient_clipping|-\s*1e\+?\d|rsqrt|\.pow\(2|optimizer|precision|Trainer|isnan|isfinite|isinf"
)


class Found(NamedTuple):
    """A file to read."""

    path: Path
    name: str
    """Relative to the root of the project, with slashes."""
    vendored: bool
    ignored: bool
    """By ``.gitignore``: read only where the project's own code imports it."""


def root_of(paths: tuple[Path, ...]) -> Path:
    """Return the folder that names are relative to: the nearest common folder of ``paths``."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    return Path(os.path.commonpath([str(folder.resolve()) for folder in folders]))


def find(paths: tuple[Path, ...], root: Path) -> Iterator[Found]:
    """Yield the files below ``paths``, in a stable order, each once.

    Links to folders are not followed, so that a loop of them ends; folders that ``.gitignore`` names are left out, and
    so are files that no person wrote, by their size. A file that is named itself is always read.

    Raises:
        LintError: a path does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            message = f"{path}: there is no such file or folder"
            raise LintError(message)
        for found in sorted(_walk(path, root), key=lambda found: found.name) if path.is_dir() else [_named(path, root)]:
            real = found.path.resolve()
            if real not in seen:
                seen.add(real)
                yield found


def _named(path: Path, root: Path) -> Found:
    # Not the file's own link: what it points to may lie anywhere.
    real = path.parent.resolve() / path.name
    return Found(path, _printable(real.relative_to(root).as_posix()), vendored=False, ignored=False)


def _walk(top: Path, root: Path) -> Iterator[Found]:
    top = top.resolve()
    ignored = Ignored(top)
    for folder, folders, files in os.walk(top):
        ignored.learn(Path(folder))
        folders[:] = sorted(name for name in folders if name not in _NEVER and not ignored.matches(f"{folder}/{name}/"))
        for name in files:
            path = Path(folder, name)
            if name.lower().endswith(CODE + DATA) and _readable(path):
                relative = _printable(path.relative_to(root).as_posix())
                out = ignored.matches(str(path))
                yield Found(path, relative, vendored=bool(_VENDORED.search(relative)), ignored=out)


def _printable(name: str) -> str:
    """Return a name that can be told: bytes that are no UTF-8 are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= (
            _LARGEST_CODE if path.name.lower().endswith(CODE) else _LARGEST_DATA
        )
    except OSError:
        return False


def speaks_of_precision(data: bytes) -> bool:
    """Say whether a Python file has a word that any rule could be about."""
    return _WORDS.search(data) is not None


def excluded(name: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a path matches a pattern, as a whole or by one of its folders."""
    parts = name.split("/")
    return any(
        fnmatch(name, pattern)
        or any(fnmatch("/".join(parts[:cut]), pattern.rstrip("/")) for cut in range(1, len(parts)))
        for pattern in patterns
    )
