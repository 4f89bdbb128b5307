"""Finds the local files that training code loads, and reads what in them depends on releases.

Nothing is loaded: configurations are JSON, and of a parquet file only the footer is read.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vc2doctor.checks.plan import FileMark, SavedFile
from vc2doctor.commands.report import CodeFile, CodeReading
from vc2doctor.core import parsing, reading
from vc2doctor.core.versions import older
from vc2doctor.linter.knowledge.api_table import ApiTable, load_table
from vc2doctor.linter.knowledge.file_formats import MARKS, NEWEST, FormatMark, marks_of_features
from vc2doctor.matrix.architectures import Architectures

MAX_FILES = 40
"""Files of one project that are looked at."""
MAX_SHARDS = 8
"""Parquet files of one folder or pattern: shards of one data set have the same features."""
MAX_FOOTER = 16 * 1024 * 1024
_PARQUET_END = b"PAR1"
_FOOTER_TAIL = 8
_FEATURES_START = b'{"info":'
"""How datasets begins the JSON with which it describes features in a footer."""


def saved_files(
    code: CodeReading, folder: Path, installed: Mapping[str, str], architectures: Architectures
) -> tuple[SavedFile, ...]:
    """Return the local files that the code loads, with what the ``installed`` releases cannot read in them.

    A path that the code names is looked for in ``folder``, in which training is started, then in the project.
    """
    table = load_table()
    if table is None or not code.loads:
        return ()
    reader = _Reader(table, installed, architectures)
    found: dict[tuple[str, str], SavedFile] = {}
    for loaded in code.loads:
        for target, kind, names in _targets(loaded, code, folder):
            if len(found) < MAX_FILES and (kind, str(target)) not in found:
                found[kind, str(target)] = reader.read(loaded, target, kind, names)
    return tuple(found.values())


_Target = tuple[Path, str, tuple[str, ...]]
"""What is loaded, as what, and the files in it that are read; no files: it is one itself."""


def _targets(loaded: CodeFile, code: CodeReading, folder: Path) -> Iterator[_Target]:
    """Yield what a name in the code leads to on this machine."""
    try:
        name = Path(loaded.name).expanduser()
        beside = code.root / Path(loaded.path).parent
        bases = (Path(),) if name.is_absolute() else tuple(dict.fromkeys((folder, code.root, beside)))
        for base in bases:
            targets = list(_TARGETS[loaded.kind](base, str(name), loaded))
            if targets:
                yield from targets
                return
    except (OSError, ValueError, RuntimeError):
        # A text that is no path: too long, with a null byte, or of a user that does not exist (``~missing``).
        return


def _in_folder(path: Path, kind: str, *names: str) -> Iterator[_Target]:
    present = tuple(name for name in names if (path / name).is_file())
    if present:
        yield path, kind, present


def _model(base: Path, name: str, loaded: CodeFile) -> Iterator[_Target]:
    yield from _in_folder(base / name, "config", "config.json")
    if not loaded.loader or loaded.loader.startswith("Auto"):
        # transformers reads the adapter in a folder, and loads its base model.
        yield from _in_folder(base / name, "adapter", "adapter_config.json")


def _tokenizer(base: Path, name: str, _: CodeFile) -> Iterator[_Target]:
    yield from _in_folder(base / name, "tokenizer", "tokenizer_config.json", "tokenizer.json")


def _adapter(base: Path, name: str, _: CodeFile) -> Iterator[_Target]:
    yield from _in_folder(base / name, "adapter", "adapter_config.json")


def _checkpoint(base: Path, name: str, loaded: CodeFile) -> Iterator[_Target]:
    folder = base / name
    if loaded.loader == "newest":
        numbered = [path for path in folder.glob("checkpoint-*") if path.name.partition("-")[2].isdigit()]
        if not numbered:
            return
        folder = max(numbered, key=lambda path: int(path.name.partition("-")[2]))
    yield from _in_folder(folder, "trainer-state", "trainer_state.json")
    yield from _in_folder(folder, "adapter", "adapter_config.json")


def _data(base: Path, name: str, loaded: CodeFile) -> Iterator[_Target]:
    path = base / name
    if path.is_dir():
        yield from _data_folder(base, name, loaded)
        paths = sorted(path.rglob("*.parquet"))
    elif any(sign in name for sign in "*?["):
        paths = sorted(base.glob(name)) if not Path(name).is_absolute() else sorted(Path("/").glob(name[1:]))
    else:
        paths = [path]
    for file in [each for each in paths if each.suffix == ".parquet" and each.is_file()][:MAX_SHARDS]:
        yield file, "parquet", ()


def _data_folder(base: Path, name: str, _: CodeFile) -> Iterator[_Target]:
    path = base / name
    yield from _in_folder(path, "dataset", "dataset_info.json")
    if (path / "dataset_dict.json").is_file():
        for split in sorted(each for each in path.iterdir() if each.is_dir())[:MAX_SHARDS]:
            yield from _in_folder(split, "dataset", "dataset_info.json")


_TARGETS: Mapping[str, Callable[[Path, str, CodeFile], Iterator[_Target]]] = {
    "model": _model,
    "tokenizer": _tokenizer,
    "adapter": _adapter,
    "checkpoint": _checkpoint,
    "data": _data,
    "data-folder": _data_folder,
}


class _Reader:
    """Reads files for an environment."""

    def __init__(self, table: ApiTable, installed: Mapping[str, str], architectures: Architectures) -> None:
        self._table = table
        self._installed = installed
        self._architectures = architectures

    def read(self, loaded: CodeFile, target: Path, kind: str, names: tuple[str, ...]) -> SavedFile:
        """Return a file or folder that is loaded, with what in it the installed releases cannot read."""
        marks: list[FileMark] = []
        problem, is_custom = "", False
        paths = [target / name for name in names] or [target]
        for path in paths:
            try:
                content = _content(path, self._installed)
            except (OSError, reading.ReadError, parsing.MalformedError) as error:
                problem = problem or str(error)
                continue
            is_custom = is_custom or self._is_custom(content)
            marks += [FileMark(file=_shown(path), **mark._asdict()) for mark in self._marks(path, content)]
        # AutoTokenizer can choose the class by the type of the model beside it.
        is_custom = is_custom or (kind == "tokenizer" and self._is_custom(_content_or_empty(target / "config.json")))
        return SavedFile(
            kind=kind,
            loader=loaded.loader,
            target=str(target.resolve()),
            file=_shown(target / names[0] if names else target),
            files=tuple(str(path.resolve()) for path in paths),
            marks=() if is_custom else tuple(marks),
            problem=problem,
            is_custom=is_custom,
            path=loaded.path,
            line=loaded.line,
        )

    def _is_custom(self, content: Mapping[str, Any]) -> bool:
        """Return whether code of the user's, or code that came with the file, reads it."""
        model_type = content.get("model_type")
        return "auto_map" in content or (isinstance(model_type, str) and model_type not in self._architectures.first)

    def _marks(self, path: Path, content: dict[str, Any]) -> Iterator[FormatMark]:
        marks = [*MARKS.get(path.name, marks_of_features)(content, self._table)]
        first = self._architectures.first_release(str(content.get("model_type")))
        if first is not None and path.name == "config.json":
            key = f'"model_type": "{content["model_type"]}"'
            marks.append(FormatMark(key, "transformers", first, f"<{first}", first))
        for mark in marks:
            if mark.package in self._installed and mark.affects(self._installed[mark.package]):
                yield mark


def _content(path: Path, installed: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of a file; empty if the installed release reads whatever is in such a file.

    Raises:
        MalformedError: it is not JSON, or no parquet file.
        OSError, ReadError: it cannot be read.
    """
    package, newest = NEWEST.get(path.name, ("", ""))
    if package and not older(installed.get(package), newest):
        return {}
    if path.suffix == ".parquet":
        return _features_of_footer(path)
    content = parsing.parse_json(reading.read_bytes(path))
    if not isinstance(content, dict):
        message = f"{path.name} is no JSON object"
        raise parsing.MalformedError(message)
    return content


def _content_or_empty(path: Path) -> dict[str, Any]:
    try:
        return _content(path, {})
    except (OSError, reading.ReadError, parsing.MalformedError):
        return {}


def _features_of_footer(path: Path) -> dict[str, Any]:
    """Return what datasets wrote about the features into a parquet file; empty: datasets did not write it."""
    with reading.open_regular(path) as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _FOOTER_TAIL))
        tail = file.read(_FOOTER_TAIL)
        size = int.from_bytes(tail[:4], "little")
        if tail[4:] != _PARQUET_END or not 0 < size <= min(MAX_FOOTER, end):
            message = f"{path.name} is no parquet file"
            raise parsing.MalformedError(message)
        file.seek(end - _FOOTER_TAIL - size)
        footer = file.read(size)
    start = footer.find(_FEATURES_START)
    if start < 0:
        return {}
    try:
        content, _ = json.JSONDecoder().raw_decode(footer[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    info = content.get("info")
    return info if isinstance(info, dict) else {}


def _shown(path: Path) -> str:
    """Return a path relative to the working directory if it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
