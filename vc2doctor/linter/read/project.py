"""Reads the files of a project: each once, and only those that can affect precision."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.core import reading
from vc2doctor.core.versions import MAX_REQUIREMENT_LENGTH
from vc2doctor.linter.model import LintError
from vc2doctor.linter.read import discover, formats
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.discover import FileToRead, LeftOut
from vc2doctor.linter.read.ignore_comments import IgnoredLines, ignored_lines
from vc2doctor.linter.read.importers import importers_of, registered_beside
from vc2doctor.linter.read.libraries import other_framework
from vc2doctor.linter.read.module import Module, module_of
from vc2doctor.linter.read.python_config import read_python
from vc2doctor.linter.read.requirements import MAX_BYTES as MAX_REQUIREMENTS_BYTES
from vc2doctor.linter.read.requirements import RequiredVersion, files_named, requirements_of
from vc2doctor.linter.read.source import UnreadableError, decode, read_source
from vc2doctor.linter.read.user_config import read_user_config

_UNIT_MARKERS = (
    "setup.py",
    "pyproject.toml",
    "requirements.txt",
    "requirement.txt",
    "environment.yml",
    "environment.yaml",
    ".git",
)
"""A folder with one of these files is a unit: it has requirements of its own."""
_STARTS_TRAINING = re.compile(
    r"^[ \t]*(?!#)(\S.*(?:train|fine-?tun|sft|\bfp16\b|\bbf16\b).*)$", re.MULTILINE | re.IGNORECASE
)
"""A line of a script, other than a comment, that has to do with training."""
_TOO_DEEP = "it is nested too deeply"
MAX_ROUNDS = 4
"""How often further files are read because code that was read imports them or inherits from their classes."""


FileKind = Literal["python", "notebook", "configuration", "script", "document"]


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that could not be read, with the reason."""

    name: str
    reason: str
    line: int | None


@dataclass(frozen=True, eq=False)
class ProjectFiles:
    """The facts of a project, file by file. Names are paths relative to the root."""

    modules: Mapping[str, Module]
    configs: tuple[Config, ...]
    launches: tuple[Launch, ...]
    unread_files: tuple[UnreadFile, ...]
    folders: Mapping[str, str]
    """File → the folder of its unit."""
    pins: Mapping[str, Mapping[str, str]]
    """Folder of a unit → its pinned versions: ``{"torch": "1.13.1"}``."""
    requirements: Mapping[str, Mapping[str, RequiredVersion]]
    """Folder of a unit → what its files ask for, by package."""
    installed: Mapping[str, str]
    """Versions of the environment that the code will run in. They take precedence over the pins."""
    ignored_lines: IgnoredLines
    """The lines on which a comment suppresses rules."""
    root: Path
    count: int
    """How many files were read."""
    user_config: Config | None
    """accelerate's default file of the user, if it was asked for. It is outside of the project, and never changed."""
    kinds: Mapping[FileKind, int]
    """How many files of each kind were read."""
    left_out: tuple[LeftOut, ...]
    """The folders and files below the paths of the user that were not read."""
    unknown_files: tuple[str, ...]
    """The files that the user named, and that are of no kind that is read."""
    unknown_launches: tuple[tuple[str, int], ...]
    """The scripts that mention precision or a Python program and start nothing that is known, each with the line."""
    texts: Mapping[str, bytes]
    """The files that say nothing about precision, and so are in none of the other fields; they may name a model."""


def read_project(  # noqa: PLR0913 - what to read, and what to know of it
    paths: tuple[Path, ...],
    exclude: tuple[str, ...] = (),
    overlay: Mapping[str, str] | None = None,
    installed: Mapping[str, str] | None = None,
    *,
    launches: tuple[Launch, ...] = (),
    user_config: bool = False,
    too_deep: frozenset[str] = frozenset(),
) -> ProjectFiles:
    """Read the files below ``paths``, without those that match a pattern in ``exclude``.

    ``overlay`` maps names of files to texts that are read instead of the files on disk. ``installed`` are versions that
    take precedence over the project's pins. With ``user_config`` accelerate's default file of the user is read, too.
    The files in ``too_deep`` are noted as unread. ``launches`` are commands that no file holds.

    Raises:
        LintError: a path does not exist, there is nothing to read, or the user has no default file.
    """
    root = discover.root_of(paths) if all(path.exists() for path in paths) else Path.cwd()
    reader = _ProjectReader(root, overlay or {}, too_deep)
    found = discover.find_files(paths, root)
    reader.left_out.extend(found.left_out)
    excluded = [file for file in found.files if discover.is_excluded(file.name, exclude)]
    reader.leave_out(excluded, "is named by exclude in the settings")
    names = {file.name for file in excluded}
    for file in found.files:
        if file.name not in names:
            reader.read(file)
    if reader.is_empty:
        message = f"{', '.join(str(path) for path in paths)}: there is no code, configuration or script to read"
        raise LintError(message)
    reader.add_launches(launches)
    reader.read_dependencies()
    return reader.result(installed or {}, read_user_config() if user_config else None)


_MADE_BY_THE_DOCTOR = re.compile(rb'\s*\{\s*"(schema_version":\s*\d+,\s*"findings|schema":\s*\d+,\s*"doctor)"')
"""How a baseline and a report in JSON begin: they configure nothing."""


class _ProjectReader:
    """Collects the facts of the files that were read so far."""

    def __init__(self, root: Path, overlay: Mapping[str, str], too_deep: frozenset[str] = frozenset()) -> None:
        self._root = root
        self._too_deep = too_deep
        self._overlay = overlay
        self.count = 0
        self.unread_files: list[UnreadFile] = []
        self.left_out: list[LeftOut] = []
        self._kinds: Counter[FileKind] = Counter()
        self._unknown_files: list[str] = []
        self._unknown_launches: list[tuple[str, int]] = []
        self._modules: dict[str, Module] = {}
        self._configs: list[Config] = []
        self._launches: list[Launch] = []
        self._ignored_lines: dict[str, dict[int, frozenset[str]]] = {}
        self._unparsed: dict[str, bytes] = {}
        """Code that does not mention precision. It is parsed only if code that was parsed needs it, or if it imports
        code that trains."""
        self._plain_data: dict[str, bytes] = {}
        """Configurations that do not mention precision."""
        self._ignored_files: dict[str, Path] = {}
        """Code that ``.gitignore`` names. It is read only if code that was read imports it."""
        self._unit_folders: dict[str, str] = {}
        """Folder → the folder of its unit."""

    @property
    def is_empty(self) -> bool:
        """Whether there was no file at all that anything could be said of."""
        return not (self.count or self.unread_files or self.left_out or self._unknown_files)

    def leave_out(self, files: Iterable[FileToRead], reason: str) -> None:
        """Note files that are not read, because of the settings or because of what is in them."""
        self.left_out.extend(LeftOut(file.name, reason, 1) for file in files if not file.is_ignored)

    def add_launches(self, launches: Iterable[Launch]) -> None:
        """Add commands that no file holds; their programs are read as if a script started them."""
        self._launches.extend(launches)

    def read(self, file: FileToRead) -> None:
        """Read a file, or put it aside until other code needs it."""
        if file.is_ignored:
            if file.name.endswith(".py"):
                self._ignored_files[file.name] = file.path
            return
        try:
            text = self._overlay.get(file.name)
            data = text.encode() if text is not None else reading.read_bytes(file.path, discover.limit_of(file.name))
        except reading.ReadError as error:
            self.unread_files.append(UnreadFile(file.name, error.reason, None))
            return
        kind = _kind_of(file.name)
        if kind is None:
            self._unknown_files.append(file.name)
            return
        mentions_precision = kind in ("python", "notebook") and discover.mentions_precision(data)
        framework = other_framework(data) if mentions_precision and kind == "python" else None
        if framework is not None:
            self.leave_out([file], f"is written for {framework}")
            return
        if _MADE_BY_THE_DOCTOR.match(data):
            return
        if kind == "document":
            self._read_document(file.name, decode(data))
            return
        self.count += 1
        self._kinds[kind] += 1
        # A file with null bytes is no code in UTF-8, so words are not found in it: that it cannot be read is noted.
        if mentions_precision or (kind == "python" and b"\0" in data):
            self._parse(file.name, data)
        elif kind in ("python", "notebook"):
            self._unparsed[file.name] = data
        else:
            self._read_data(file.name, decode(data))

    def _parse(self, name: str, data: bytes) -> None:
        if name in self._too_deep:
            self.unread_files.append(UnreadFile(name, _TOO_DEEP, None))
            return
        try:
            module = module_of(read_source(name, data))
        except UnreadableError as error:
            self.unread_files.append(UnreadFile(name, str(error), error.line))
            return
        except (RecursionError, MemoryError):
            self.unread_files.append(UnreadFile(name, _TOO_DEEP, None))
            return
        self._modules[name] = module
        for line, ids in ignored_lines(module.source.text).items():
            path, visible_line = module.source.location_of(line)
            self._ignored_lines.setdefault(path, {})[visible_line] = ids
        config = read_python(module)
        if config is not None:
            self._configs.append(config)

    def _read_data(self, name: str, text: str) -> None:
        if lines := ignored_lines(text):
            self._ignored_lines[name] = lines
        reading = formats.read(name, text)
        if reading.error is not None:
            self.unread_files.append(UnreadFile(name, reading.error, None))
        if not reading.configs and not reading.launches:
            self._plain_data[name] = text.encode()
            if _kind_of(name) == "script" and (match := _STARTS_TRAINING.search(text)) is not None:
                self._unknown_launches.append((name, text.count("\n", 0, match.start(1)) + 1))
        self._configs.extend(reading.configs)
        self._launches.extend(reading.launches)

    def _read_document(self, name: str, text: str) -> None:
        """Read the commands that a document shows. One that shows none is no part of the code, and is not counted."""
        launches = formats.read(name, text).launches
        self._launches.extend(launches)
        self.count += bool(launches)
        self._kinds["document"] += bool(launches)

    def read_dependencies(self) -> None:
        """Read what code that was read imports or inherits from, the files that import it, and what those need."""
        for _ in range(MAX_ROUNDS):
            for name in self._imported_ignored_files():
                path = self._ignored_files.pop(name)
                self.read(FileToRead(path, name, is_ignored=False))
            modules = self._modules.values()
            beside = (*importers_of(modules, self._unparsed), *registered_beside(modules, self._unparsed))
            names = {*self._files_of_base_classes(), *self._imported_arithmetic(), *beside}
            for name in sorted(names):
                self._parse(name, self._unparsed.pop(name))
            if not names:
                break

    def _imported_ignored_files(self) -> list[str]:
        """Return the ignored files that code which was read imports: imported code is part of the project."""
        return self._imported(self._ignored_files)

    def _imported_arithmetic(self) -> list[str]:
        """Return the files that are not parsed yet, compute with tensors, and are imported by code that was read.

        Half precision can break what they compute, although they do not mention it.
        """
        return self._imported(name for name, data in self._unparsed.items() if discover.computes(data))

    def _imported(self, candidates: Iterable[str]) -> list[str]:
        """Return the files among some that code which was read imports."""
        endings: set[str] = set()
        for module in self._modules.values():
            for dotted in (*module.imports.values(), *module.star_imports):
                parts = dotted.strip(".").split(".")
                # `from a.b import c`: c is a module, or a name in the module b.
                endings.update(f"/{'/'.join(parts[:length])}.py" for length in (len(parts), len(parts) - 1) if length)
        suffixes = tuple(endings)
        return [name for name in candidates if f"/{name}".endswith(suffixes)]

    def _files_of_base_classes(self) -> list[str]:
        """Return the files that are not parsed yet and may define a base class that the parsed code needs."""
        names: set[str] = set()
        for module in self._modules.values():
            folder = module.name.rpartition("/")[0]
            for cls in module.classes.values():
                for base in cls.node.bases:
                    owner = module.dotted(base).rpartition(".")[0]
                    stem = owner.lstrip(".").replace(".", "/")
                    names.update((f"{stem}.py", f"{stem}/__init__.py") if stem else ())
            names.update(
                f"{folder}/{dotted.lstrip('.').replace('.', '/')}/__init__.py" for dotted in module.star_imports
            )
            # `from package import Model`: the package may take the name from one of its modules.
            packages = {dotted.rpartition(".")[0].strip(".") for dotted in module.imports.values()}
            names.update(f"{package.replace('.', '/')}/__init__.py" for package in packages if package)
        # A program that only imports the training code says which code a launch starts.
        names.update(launch.program.removeprefix("./") for launch in self._launches if launch.program.endswith(".py"))
        suffixes = tuple(f"/{name}" for name in names)
        return [name for name in self._unparsed if f"/{name}".endswith(suffixes)]

    def result(self, installed: Mapping[str, str], user_config: Config | None) -> ProjectFiles:
        """Return the facts of all files that were read."""
        names = [
            *self._modules,
            *self._unparsed,
            *(config.name for config in self._configs),
            *(launch.script for launch in self._launches),
            # Rules about names read these, too.
            *self._unparsed,
        ]
        folders = {name: self._unit_folder(name) for name in names}
        return ProjectFiles(
            modules=self._modules,
            configs=tuple(self._configs),
            launches=tuple(self._launches),
            unread_files=tuple(self.unread_files),
            folders=folders,
            pins={folder: _pins(self._root / folder) for folder in sorted({"", *folders.values()})},
            requirements=self._requirements(folders),
            installed=installed,
            ignored_lines=self._ignored_lines,
            root=self._root,
            count=self.count,
            user_config=user_config,
            kinds=self._kinds,
            left_out=tuple(self.left_out),
            unknown_files=tuple(self._unknown_files),
            unknown_launches=tuple(self._unknown_launches),
            texts={**self._unparsed, **self._plain_data},
        )

    def _requirements(self, unit_folders: Mapping[str, str]) -> Mapping[str, Mapping[str, RequiredVersion]]:
        """Return what the files of each unit ask for, and of each other folder whose README or image names versions."""
        units = {"", *unit_folders.values()}
        folders = units | {name.rpartition("/")[0] for name in unit_folders}
        asked = ((folder, requirements_of(self._root, folder)) for folder in sorted(folders))
        return {folder: entries for folder, entries in asked if entries or folder in units}

    def _unit_folder(self, name: str) -> str:
        """Return the folder of a file's unit: the nearest folder with requirements of its own, else the root."""
        folder = name.rpartition("/")[0]
        if folder not in self._unit_folders:
            is_unit = not folder or _is_unit(self._root / folder)
            self._unit_folders[folder] = folder if is_unit else self._unit_folder(folder)
        return self._unit_folders[folder]


def _kind_of(name: str) -> FileKind | None:
    """Return the kind of a file by the ending of its name; ``None``: no file of that kind is read."""
    lower = name.lower()
    if lower.endswith(discover.CODE_ENDINGS):
        return "notebook" if lower.endswith(".ipynb") else "python"
    return formats.kind_of(name)


def _is_unit(folder: Path) -> bool:
    """Return whether a folder has requirements of its own, whatever the case of the file's name."""
    try:
        return any(path.name.lower() in _UNIT_MARKERS for path in folder.iterdir())
    except (OSError, ValueError):
        # ValueError: the locale has no bytes for the name.
        return False


def _pins(folder: Path) -> Mapping[str, str]:
    """Return the versions that ``requirements*.txt`` in a folder pin exactly; the first file wins."""
    pins: dict[str, str] = {}
    for path in files_named(folder, "requirements*.txt"):
        for line in reading.text_or_empty(path, MAX_REQUIREMENTS_BYTES).splitlines():
            if len(line) > MAX_REQUIREMENT_LENGTH:
                continue
            try:
                requirement = Requirement(line.partition("#")[0].strip())
            except InvalidRequirement:
                continue
            exact = [clause.version for clause in requirement.specifier if clause.operator in ("==", "===")]
            if exact:
                pins.setdefault(canonicalize_name(requirement.name), exact[0])
    return pins
