"""What ``.gitignore`` leaves out: as git has it, which never ignores a file that it tracks."""

import struct
from pathlib import Path, PurePosixPath

import pathspec

_HEADER, _FIXED, _NAME_MASK, _EXTENDED = 12, 62, 0xFFF, 0x4000


class Ignored:
    """The ignore files on the way to a folder, learnt as the walk goes down."""

    def __init__(self, top: Path) -> None:
        self._specs: dict[str, pathspec.GitIgnoreSpec] = {}
        self._tracked: frozenset[str] = frozenset()
        self._folders: frozenset[str] = frozenset()
        self._tree = ""
        for outer in [top, *top.parents]:
            self.learn(outer)
            if (outer / ".git").exists():
                self._tree, self._tracked = f"{outer}/", tracked(outer / ".git")
                self._folders = frozenset(
                    f"{folder}/" for name in self._tracked for folder in PurePosixPath(name).parents
                )
                break
        if self.matches(f"{top}/"):
            # Whoever names an ignored folder means it.
            self._specs.clear()
            self.learn(top)

    def learn(self, folder: Path) -> None:
        """Read the ignore file of a folder, if there is one."""
        try:
            text = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
            self._specs[f"{str(folder).rstrip('/')}/"] = pathspec.GitIgnoreSpec.from_lines(text.splitlines())
        except (OSError, ValueError):
            return

    def matches(self, path: str) -> bool:
        """Say whether a path (a folder's ends in ``/``) is ignored."""
        if self._tracked and path.startswith(self._tree):
            name = path[len(self._tree) :]
            if name in self._tracked or name in self._folders:
                return False
        return any(
            path.startswith(folder) and spec.match_file(path[len(folder) :]) for folder, spec in self._specs.items()
        )


def tracked(git: Path) -> frozenset[str]:
    """Return the files that a git index lists; none where there is no index, or one of a format that is not 2 or 3.

    Read as a file, because asking git itself can run what the repository's configuration names (``core.fsmonitor``).
    Source of the format: https://git-scm.com/docs/index-format.
    """
    try:
        data = (git / "index").read_bytes()
        magic, version, count = struct.unpack(">4sII", data[:_HEADER])
        if magic != b"DIRC" or version not in (2, 3):
            return frozenset()
        names, at = set(), _HEADER
        for _ in range(count):
            (flags,) = struct.unpack(">H", data[at + _FIXED - 2 : at + _FIXED])
            start = at + _FIXED + (2 if flags & _EXTENDED else 0)
            end = data.index(b"\0", start)
            names.add(data[start:end].decode("utf-8", "replace"))
            at += (end - at) // 8 * 8 + 8
        return frozenset(names)
    except (OSError, struct.error, ValueError):
        return frozenset()
