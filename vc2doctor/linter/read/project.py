"""Reads the files of a project: each once, and only those that can matter."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.linter.model import LintError
from vc2doctor.linter.read import discover, json_config, python_config, shell, yaml_config
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.ignore_comments import comments
from vc2doctor.linter.read.module import Module, module_of
from vc2doctor.linter.read.shell import Launch
from vc2doctor.linter.read.source import UnreadableError, decode, read

_MARKERS = ("setup.py", "pyproject.toml", "requirements.txt", "environment.yml", "environment.yaml", ".git")
_ROUNDS = 4
"""How often files are read because a class in a file that was read comes from them."""


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that could not be read, and why."""

    name: str
    reason: str
    line: int | None


@dataclass(frozen=True, eq=False)
class ProjectFiles:
    """What was read of a project, file by file."""

    modules: Mapping[str, Module]
    configs: tuple[Config, ...]
    launches: tuple[Launch, ...]
    unread_files: tuple[UnreadFile, ...]
    folders: Mapping[str, str]
    """File → the folder of the unit it belongs to."""
    pins: Mapping[str, Mapping[str, str]]
    """Folder of a unit → its pinned versions: ``{"torch": "1.13.1"}``."""
    installed: Mapping[str, str]
    """Versions of the environment that the code will run in; they count before the pins."""
    silences: Mapping[str, Mapping[int, frozenset[str]]]
    """File → line → ids that a comment there ignores."""
    root: Path
    count: int
    """How many files were read."""


class _Project:
    """What has been read so far."""

    def __init__(self, root: Path, overlay: Mapping[str, str]) -> None:
        self.root = root
        self.overlay = overlay
        self.count = 0
        self.silences: dict[str, dict[int, frozenset[str]]] = {}
        self.modules: dict[str, Module] = {}
        self.waiting: dict[str, bytes] = {}
        self.ignored: dict[str, Path] = {}
        self.configs: list[Config] = []
        self.launches: list[Launch] = []
        self.unread_files: list[UnreadFile] = []
        self.units: dict[str, str] = {}

    def add(self, found: discover.Found) -> None:
        if found.ignored:
            if found.name.endswith(".py"):
                self.ignored[found.name] = found.path
            return
        try:
            instead = self.overlay.get(found.name)
            data = instead.encode() if instead is not None else found.path.read_bytes()
        except OSError as error:
            self.unread_files.append(UnreadFile(found.name, error.strerror or str(error), None))
            return
        self.count += 1
        if found.name.endswith(discover.CODE):
            if discover.speaks_of_precision(data):
                self.parse(found.name, data)
            else:
                self.waiting[found.name] = data
        else:
            self._data(found.name, decode(data))

    def parse(self, name: str, data: bytes) -> None:
        try:
            module = module_of(read(name, data))
        except UnreadableError as error:
            self.unread_files.append(UnreadFile(name, str(error), error.line))
            return
        except RecursionError:
            self.unread_files.append(UnreadFile(name, "it is nested too deeply", None))
            return
        self.modules[name] = module
        silent = comments(module.source.text)
        for line, ids in silent.items():
            path, told = module.source.location_of(line)
            self.silences.setdefault(path, {})[told] = ids
        config = python_config.of_python(module)
        if config is not None:
            self.configs.append(config)

    def _data(self, name: str, text: str) -> None:
        if silent := comments(text):
            self.silences[name] = silent
        if name.endswith((".yaml", ".yml")):
            config = yaml_config.of_yaml(name, text)
        elif name.endswith(".json"):
            config = json_config.of_json(name, text)
        else:
            self.launches.extend(shell.launches(name, text))
            return
        if config is not None:
            self.configs.append(config)

    def bases(self) -> list[str]:
        """Return the unread files that a class which was read may have its bases from."""
        wanted: set[str] = set()
        for module in self.modules.values():
            folder = module.name.rpartition("/")[0]
            for cls in module.classes.values():
                for base in cls.node.bases:
                    owner = module.dotted(base).rpartition(".")[0]
                    tail = owner.lstrip(".").replace(".", "/")
                    wanted.update(name for name in (f"{tail}.py", f"{tail}/__init__.py") if tail)
            wanted.update(f"{folder}/{star.lstrip('.').replace('.', '/')}/__init__.py" for star in module.stars)
        endings = tuple(f"/{name}" for name in wanted)
        return [name for name in self.waiting if f"/{name}".endswith(endings)]

    def imported(self) -> list[str]:
        """Return the ignored files that code which was read imports: they are part of the project all the same."""
        wanted: set[str] = set()
        for module in self.modules.values():
            for dotted in (*module.imports.values(), *module.stars):
                parts = dotted.strip(".").split(".")
                wanted.update(f"/{'/'.join(parts[:cut])}.py" for cut in (len(parts), len(parts) - 1) if cut)
        endings = tuple(wanted)
        return [name for name in self.ignored if f"/{name}".endswith(endings)]

    def folder_of(self, name: str) -> str:
        """Return the folder of the unit that a file belongs to: the nearest with requirements of its own."""
        folder = name.rpartition("/")[0]
        if folder not in self.units:
            here = self.root / folder
            own = not folder or any((here / marker).exists() for marker in _MARKERS)
            self.units[folder] = folder if own else self.folder_of(folder)
        return self.units[folder]


def read_project(
    paths: tuple[Path, ...],
    exclude: tuple[str, ...] = (),
    overlay: Mapping[str, str] | None = None,
    installed: Mapping[str, str] | None = None,
) -> ProjectFiles:
    """Return what there is to read below ``paths``, without what matches ``exclude``.

    ``overlay`` has texts that stand for files on disk; ``installed`` are versions that count before the pins.

    Raises:
        LintError: a path does not exist, or there is nothing to read.
    """
    root = discover.root_of(paths) if all(path.exists() for path in paths) else Path.cwd()
    project = _Project(root, overlay or {})
    for found in discover.find(paths, project.root):
        if not found.vendored and not discover.excluded(found.name, exclude):
            project.add(found)
    if not project.count and not project.unread_files:
        message = f"{', '.join(str(path) for path in paths)}: there is no code, configuration or script to read"
        raise LintError(message)
    for _ in range(_ROUNDS):
        for name in project.imported():
            project.add(discover.Found(project.ignored.pop(name), name, vendored=False, ignored=False))
        names = project.bases()
        for name in names:
            project.parse(name, project.waiting.pop(name))
        if not names:
            break
    known: Iterable[str] = (
        *project.modules,
        *(config.name for config in project.configs),
        *(launch.name for launch in project.launches),
    )
    folders = {name: project.folder_of(name) for name in known}
    return ProjectFiles(
        modules=project.modules,
        configs=tuple(project.configs),
        launches=tuple(project.launches),
        unread_files=tuple(project.unread_files),
        folders=folders,
        root=root,
        count=project.count,
        silences=project.silences,
        installed=installed or {},
        pins={folder: _pins(project.root / folder) for folder in sorted({"", *folders.values()})},
    )


def _pins(folder: Path) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob("requirements*.txt")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                requirement = Requirement(line.partition("#")[0].strip())
            except InvalidRequirement:
                continue
            exact = [spec.version for spec in requirement.specifier if spec.operator in ("==", "===")]
            if exact:
                found.setdefault(canonicalize_name(requirement.name), exact[0])
    return found
