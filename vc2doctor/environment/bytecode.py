"""Compiled modules of a target that has none, in a cache of the doctor's own.

uv installs packages without bytecode, and the doctor writes nothing into a target. Every probe would then compile the
stack again, which takes as long as importing it. Python can keep bytecode elsewhere (``PYTHONPYCACHEPREFIX``), but then
it reads none of the target's own, so this is only for targets whose packages are not compiled.
"""

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from vc2doctor.core import janitor, store
from vc2doctor.environment.model import Environment

VARIABLE = "PYTHONPYCACHEPREFIX"
_UNWANTED = "PYTHONDONTWRITEBYTECODE"
_PACKAGES = ("torch", "transformers")
"""The largest packages of the stack: they have some 5,000 modules."""
_MIN_FILES = 20
"""Entries in the folder of a package that is worth a cache; the real ones have 80 and more."""
MAX_CACHES = 4
"""Environments whose bytecode is kept. That of the stack takes about 100 MB."""
MAX_AGE_SECONDS = 30 * 24 * 3600.0


def cache_for(environment: Environment, variables: Mapping[str, str]) -> Path | None:
    """Return the folder for the bytecode of a target, made and private; ``None``: it needs none, or there can be none.

    ``variables`` are the environment variables of the doctor. A user who sets ``PYTHONDONTWRITEBYTECODE``
    wants no bytecode.
    Folders of environments that were not examined for long are removed.
    """
    if VARIABLE in variables or variables.get(_UNWANTED) or not _lacks_bytecode(environment):
        return None
    user_folder = store.user_folder(variables)
    if user_folder is None:
        return None
    root = user_folder / "bytecode"
    name = hashlib.sha256(environment.interpreter.prefix.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = root / name
    with contextlib.suppress(OSError):
        folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
        if _is_private(root) and _is_private(folder):
            os.utime(folder)
            _remove_old(root, folder)
            return folder
    return None


def _lacks_bytecode(environment: Environment) -> bool:
    origins = (environment.module(name) for name in _PACKAGES)
    files = [Path(module.origin) for module in origins if module is not None and module.origin is not None]
    return any(_is_uncompiled(file) for file in files)


def _is_uncompiled(file: Path) -> bool:
    try:
        is_large = sum(1 for _ in file.parent.iterdir()) >= _MIN_FILES
        return is_large and not any(file.parent.glob(f"__pycache__/{file.stem}.*.pyc"))
    except OSError:
        return False


def _is_private(folder: Path) -> bool:
    """Return whether only this user can put code into ``folder``, which the target would run."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and store.is_own(status)


def _remove_old(root: Path, current: Path) -> None:
    """Remove the caches of environments that were not examined for long, and all but the newest few."""
    others = sorted(_with_times(root, current), reverse=True)
    for number, (used, folder) in enumerate(others, start=1):
        if number >= MAX_CACHES or used < time.time() - MAX_AGE_SECONDS:
            janitor.remove(str(folder))


def _with_times(root: Path, current: Path) -> Iterable[tuple[float, Path]]:
    for folder in root.iterdir():
        if folder != current and not folder.is_symlink() and folder.is_dir():
            yield folder.stat().st_mtime, folder
