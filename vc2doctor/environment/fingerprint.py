"""Tells whether an environment is still the same: what its interpreter and its files look like from outside.

Contents are read only where they are small: the metadata of distributions. Of all other files the size, the time of the
last change and the inode are taken, as build tools do. Bytecode is left out, because each import may write it.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vc2doctor.core import child, reading
from vc2doctor.core.child import TargetError
from vc2doctor.core.data import OwnData
from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment import interpreter
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.target.doors import DOORS

_SCRIPT = Path(__file__).parents[1] / "target" / "describe_paths.py"
MAX_FILES = 200_000
"""Of all that is looked at; a large environment has about 60,000. With more, the look takes longer than it saves."""
_METADATA_FILES = ("RECORD", "METADATA", "PKG-INFO", "INSTALLER", "direct_url.json")
_METADATA_FOLDERS = (".dist-info", ".egg-info")
_NOT_IMPORTED = ("__pycache__", ".pyc", ".pyo", ".pyi", ".h", ".hpp", ".cuh", ".hip")
"""Bytecode, stubs, and the headers of torch, which are half of its files: compilers read them."""


Ask = Callable[[str, float], Mapping[str, Any]]
"""Asks an interpreter, within some seconds, from where it imports: see ``ask``."""


class FingerprintError(TargetError):
    """An environment cannot be compared with itself: it does not answer, or it has too many files."""


class Fingerprint(OwnData):
    """What an environment looks like. Two that are equal will train alike on one machine."""

    interpreter: dict[str, str]
    """The executable, its version, its flags, and its folders."""
    path: tuple[tuple[str, str], ...]
    """The entries of ``sys.path`` in their order, with a digest of what lies directly in each."""
    distributions: tuple[tuple[str, str], ...]
    """The metadata folders in their order, with a digest of RECORD, METADATA and what else they say."""
    files: dict[str, str]
    """The modules of the stack, of its companions and of the doors, with a digest of the sizes, times and inodes of
    their files."""


def fingerprint(python: str, answer: Mapping[str, Any]) -> Fingerprint:
    """Return what the environment of the interpreter at ``python``, which gave this ``answer``, looks like.

    Raises:
        FingerprintError: it has too many files.
    """
    look = _Look()
    entries = [os.path.abspath(entry or os.curdir) for entry in answer["path"]]  # noqa: PTH100 - links are not resolved
    origins = {name: origin for name, origin in answer["origins"].items() if origin is not None}
    return Fingerprint(
        interpreter={
            "executable": f"{python} {os.path.realpath(python)} {status_of(python)}",
            "configuration": digest_of_file(Path(python).parent.parent / "pyvenv.cfg"),
            **{name: str(answer[name]) for name in ("version", "implementation", "prefixes", "flags")},
        },
        path=tuple((entry, look.listing(entry)) for entry in entries),
        distributions=tuple((folder, _metadata(folder)) for entry in entries for folder in _metadata_folders(entry)),
        files={name: look.tree(origin) for name, origin in origins.items()},
    )


def modules() -> tuple[str, ...]:
    """Return the modules whose files are looked at, without repetitions."""
    of_packages = (name.replace("-", "_") for name in (*STACK_PACKAGES, *COMPANION_PACKAGES))
    of_doors = (name for door in DOORS.values() for names in door.modules for name in names.split("|"))
    return tuple(dict.fromkeys((*of_packages, *(name.partition(".")[0] for name in of_doors))))


def ask(python: str, timeout: float = DESCRIPTION_SECONDS) -> Mapping[str, Any]:
    """Return what the interpreter at ``python`` says of itself: its version, its flags, and from where it imports.

    Raises:
        FingerprintError: it does not answer.
        TargetError: it cannot be started.
    """
    events: list[dict[str, Any]] = []
    run = child.run(
        lambda channel: [python, "-B", str(_SCRIPT), *map(str, channel), *modules()],
        interpreter.variables(),
        timeout,
        events.append,
    )
    if run.ending == "interrupted":
        raise KeyboardInterrupt
    answer = next((event for event in events if event.get("event") == "paths"), None)
    is_whole = answer is not None and isinstance(answer.get("path"), list) and isinstance(answer.get("origins"), dict)
    if run.code != 0 or answer is None or not is_whole:
        message = f"{python} does not say from where it imports"
        raise FingerprintError(message)
    return answer


def status_of(path: str | Path) -> str:
    """Return the size, the time of the last change and the inode of a file, or what the system says instead."""
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and there are thousands
    except (OSError, ValueError) as error:
        return type(error).__name__
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino} {stat.S_IFMT(status.st_mode)}"


def digest_of_file(path: str | Path, limit: int = reading.MAX_BYTES) -> str:
    """Return the SHA-256 of a file; of one that cannot be read, or has more bytes, what else is known of it."""
    try:
        return hashlib.sha256(reading.read_bytes(path, limit)).hexdigest()
    except reading.ReadError as error:
        return f"{error.reason} {status_of(path)}"


def digest_of(rows: Iterable[object]) -> str:
    """Return the SHA-256 of some rows."""
    sha256 = hashlib.sha256()
    for row in rows:
        sha256.update(f"{row!r}\n".encode("utf-8", "surrogateescape"))
    return sha256.hexdigest()


def tree_of(folder: str | Path) -> str:
    """Return a digest of the sizes, times and inodes of all files below a folder, or of one file.

    Raises:
        FingerprintError: there are too many files.
    """
    return _Look().tree(str(folder))


class _Look:
    """One look at the files of an environment, with a limit on their number."""

    def __init__(self) -> None:
        self._left = MAX_FILES

    def listing(self, folder: str) -> str:
        """Return a digest of the names in a folder, with what the files there look like."""
        rows = self._rows(folder)
        return digest_of(rows) if rows is not None else status_of(folder)

    def tree(self, path: str) -> str:
        """Return a digest of what all files below ``path`` look like."""
        return digest_of(self._tree(path))

    def _tree(self, path: str) -> Iterator[object]:
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            rows = self._rows(folder)
            if rows is None:
                yield folder, status_of(folder)
                continue
            yield folder, rows
            # A row without a status is a folder.
            waiting.extend(f"{folder}/{row[0]}" for row in rows if len(row) == 1)

    def _rows(self, folder: str) -> list[tuple[object, ...]] | None:
        """Return the names in a folder, each with its size, time and inode unless it is a folder; ``None``: it is none.

        Raises:
            FingerprintError: there are too many files.
        """
        rows: list[tuple[object, ...]] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_NOT_IMPORTED):
                        continue
                    self._count()
                    rows.append((entry.name,) if entry.is_dir(follow_symlinks=False) else _row(entry))
        except OSError:
            return None
        return sorted(rows, key=lambda row: str(row[0]))

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            message = f"the environment has more than {MAX_FILES:,} files"
            raise FingerprintError(message)


def _row(entry: "os.DirEntry[str]") -> tuple[object, ...]:
    try:
        # What a link leads to is what is imported.
        status = entry.stat()
    except OSError as error:
        return entry.name, type(error).__name__
    return entry.name, status.st_size, status.st_mtime_ns, status.st_ino


def _metadata_folders(entry: str) -> list[str]:
    try:
        with os.scandir(entry) as entries:
            return sorted(each.path for each in entries if each.name.endswith(_METADATA_FOLDERS))
    except OSError:
        return []


def _metadata(folder: str) -> str:
    if not os.path.isdir(folder):  # noqa: PTH112
        return digest_of_file(folder)
    names = [name for name in _METADATA_FILES if os.path.exists(f"{folder}/{name}")]  # noqa: PTH110
    return digest_of((name, digest_of_file(f"{folder}/{name}")) for name in names)
