"""Removes one scratch folder when the doctor ends, in whatever way: also a signal that no program can catch.

The doctor starts this file by path, ``python -I -S -B janitor.py FOLDER``, before it makes the folder, and holds the
other end of the pipe at standard input, which closes when the doctor ends. Standard library only, Python 3.8 and newer,
few imports.
"""

from __future__ import annotations

import os
import stat
import sys
import time

_ROUNDS, _ROUND_SECONDS, _QUIET_ROUNDS = 100, 0.1, 3
"""The worker may write until its supervisor has ended it, so the folder has to stay away for some rounds."""


def main(arguments: list[str]) -> None:
    """Wait for the end of the doctor, then remove the folder that ``arguments`` name."""
    (folder,) = arguments
    os.read(sys.stdin.fileno(), 1)
    quiet = 0
    for _ in range(_ROUNDS):
        quiet = 0 if os.path.lexists(folder) else quiet + 1
        if quiet >= _QUIET_ROUNDS:
            return
        remove(folder)
        time.sleep(_ROUND_SECONDS)


def remove(folder: str) -> bool:
    """Remove ``folder`` with all that is in it, as far as the system permits; return whether it is gone.

    Links are removed and not followed. What ``shutil`` leaves, because of a lack of permissions or because the tree is
    very deep, is moved up into the uppermost folder: that needs neither recursion nor a path of full length.
    """
    import shutil  # noqa: PLC0415 - a janitor seldom has to remove anything, and this is slow to import

    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        pass
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return not os.path.lexists(folder)
    try:
        _empty(top)
    finally:
        os.close(top)
    try:
        os.rmdir(folder)
    except OSError:
        return not os.path.lexists(folder)
    return True


def _empty(top: int) -> None:
    number = 0
    stuck: set[str] = set()
    while True:
        names = [name for name in os.listdir(top) if name not in stuck]
        if not names:
            return
        for name in names:
            try:
                if _is_folder(name, top):
                    number = _lift_content(name, top, number)
                    os.rmdir(name, dir_fd=top)
                else:
                    os.unlink(name, dir_fd=top)
            except OSError:  # noqa: PERF203 - what cannot be removed must not keep the rest
                stuck.add(name)


def _lift_content(name: str, top: int, number: int) -> int:
    """Delete the files of the folder ``name``, and move its folders up into ``top``; return the last number used."""
    os.chmod(name, stat.S_IRWXU, dir_fd=top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in os.listdir(folder):
            if not _is_folder(entry, folder):
                os.unlink(entry, dir_fd=folder)
                continue
            # A folder can be moved only if it may be written to.
            os.chmod(entry, stat.S_IRWXU, dir_fd=folder)
            number += 1
            os.rename(entry, ".lifted-%d-%d" % (os.getpid(), number), src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    return number


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


if __name__ == "__main__":
    main(sys.argv[1:])
