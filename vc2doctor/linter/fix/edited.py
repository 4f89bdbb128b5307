"""The texts of a project while it is fixed: edits are applied in memory, and written all together or not at all."""

import ast
import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from vc2doctor.core import reading, writing
from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.model import Edit, FileChange, FixError
from vc2doctor.linter.read.source import decode, encoding_of

_ODD_IN_PATCH = re.compile(r'[\x00-\x1f\x7f"\\\udc80-\udcff]')


class EditedTexts:
    """The texts after the edits that were made so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._originals: dict[str, str] = {}
        self._data: dict[str, bytes] = {}
        """The originals as they were read: a file that somebody else has changed since is not overwritten."""
        self.texts: dict[str, str] = {}
        self._edit_counts: dict[str, int] = defaultdict(int)

    def apply(self, name: str, edits: list[Edit]) -> None:
        """Apply edits to a file.

        Raises:
            FixError: the file cannot be read or edited.
        """
        text = self.texts.get(name)
        if text is None:
            text = self.original(name)
        is_python = name.endswith(".py")
        new = rewrite(text, edits, is_python=is_python)
        self.texts[name] = _with_torch(text, new) if is_python else new
        self._edit_counts[name] += len(edits)

    def original(self, name: str) -> str:
        """Return the text of a file as it was before the edits.

        Raises:
            FixError: the file cannot be read.
        """
        if name not in self._originals:
            try:
                self._data[name] = reading.read_bytes(self.root / name)
            except reading.ReadError as error:
                raise FixError(str(error)) from error
            self._originals[name] = decode(self._data[name])
        return self._originals[name]

    def try_to_apply(self, name: str, edits: list[Edit]) -> str | None:
        """Apply edits to a file, and return why they cannot be applied, if so."""
        try:
            self.apply(name, edits)
        except FixError as error:
            return str(error)
        return None

    def changed(self) -> dict[str, str]:
        """Return the new texts of the files that changed."""
        return {name: text for name, text in self.texts.items() if text != self._originals[name]}

    def keep_only(self, names: Collection[str]) -> None:
        """Drop the edits of all other files."""
        self.texts = {name: text for name, text in self.texts.items() if name in names}

    def file_changes(self, prefix: str) -> tuple[FileChange, ...]:
        """Return the change of each file, sorted by name. ``prefix`` is put before the names in the patches."""
        return tuple(
            FileChange(
                path=name,
                edits=self._edit_counts[name],
                diff=unified_diff(f"{prefix}{name}", self._originals[name], text),
            )
            for name, text in sorted(self.changed().items())
        )

    def write(self) -> None:
        """Write all changed files or none, each in its own encoding.

        Raises:
            FixError: a new text does not fit the encoding of its file; nothing was written.
            OutputError: a file cannot be written, or somebody else has changed it; nothing was written.
        """
        contents: dict[Path, bytes] = {}
        expected: dict[Path, bytes] = {}
        for name, text in self.changed().items():
            path = (self.root / name).resolve()
            expected[path] = self._data[name]
            try:
                contents[path] = text.encode(encoding_of(expected[path]))
            except UnicodeEncodeError as error:
                message = f"{path}: cannot be written: {error}"
                raise FixError(message) from error
        writing.replace_all(contents, expected)


def _with_torch(before: str, after: str) -> str:
    """Return Python code with ``import torch`` if an edit needs it: ``torch.bfloat16`` in a module without torch."""
    if not _lacks_torch(after) or _lacks_torch(before):
        return after
    tree = ast.parse(after)
    first = next(
        (each for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom) and not _is_future(each)), None
    )
    if first is None:
        message = "an edit needs torch, and this file has no imports"
        raise FixError(message)
    lines = after.split("\n")
    carriage_return = "\r" if lines[first.lineno - 1].endswith("\r") else ""
    lines.insert(first.lineno - 1, f"import torch{carriage_return}")
    return "\n".join(lines)


def _lacks_torch(text: str) -> bool:
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name | ast.alias | ast.arg)]
    used = any(isinstance(node, ast.Name) and node.id == "torch" for node in names)
    bound = any(
        isinstance(node, ast.alias) and (node.asname or node.name.partition(".")[0]) == "torch" for node in names
    )
    return used and not bound


def _is_future(statement: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def unified_diff(name: str, before: str, after: str) -> str:
    """Return the change of a file as a patch that ``git apply`` takes; ``name`` is its path from the root."""
    old, new = _patch_name(f"a/{name}"), _patch_name(f"b/{name}")
    lines = difflib.unified_diff(_lines(before), _lines(after), old, new)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _patch_name(name: str) -> str:
    """Return a name as git writes it in a patch: quoted if it has characters that would end the line or the name."""
    if _ODD_IN_PATCH.search(name):
        escaped = _ODD_IN_PATCH.sub(_octal, name)
        return f'"{escaped}"'
    # git ends names with a tab where they hold spaces.
    return f"{name}\t" if " " in name else name


def _octal(match: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _lines(text: str) -> list[str]:
    # Not splitlines: it also splits at form feeds, which end no line for git.
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + [part for part in parts[-1:] if part]


def by_file(edits: Iterable[Edit]) -> dict[str, list[Edit]]:
    """Return edits by file, each once."""
    files: dict[str, list[Edit]] = defaultdict(list)
    for edit in dict.fromkeys(edits):
        files[edit.path].append(edit)
    return files
