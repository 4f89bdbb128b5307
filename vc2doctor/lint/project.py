"""Reads a project into CodeFacts: each file once, and only those that can matter."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.lint import config as configs
from vc2doctor.lint import files
from vc2doctor.lint.code import CodeFacts, Unread
from vc2doctor.lint.errors import LintError
from vc2doctor.lint.module import Module, module_of
from vc2doctor.lint.silence import comments
from vc2doctor.lint.source import UnreadableError, decode, read

_MARKERS = ("setup.py", "pyproject.toml", "requirements.txt", "environment.yml", "environment.yaml", ".git")
_ROUNDS = 4
"""How often files are read because a class in a file that was read comes from them."""


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
        self.configs: list[configs.Config] = []
        self.launches: list[configs.Launch] = []
        self.unread: list[Unread] = []
        self.units: dict[str, str] = {}

    def add(self, found: files.Found) -> None:
        if found.ignored:
            if found.name.endswith(".py"):
                self.ignored[found.name] = found.path
            return
        try:
            instead = self.overlay.get(found.name)
            data = instead.encode() if instead is not None else found.path.read_bytes()
        except OSError as error:
            self.unread.append(Unread(found.name, error.strerror or str(error), None))
            return
        self.count += 1
        if found.name.endswith(files.CODE):
            if files.speaks_of_precision(data):
                self.parse(found.name, data)
            else:
                self.waiting[found.name] = data
        else:
            self._data(found.name, decode(data))

    def parse(self, name: str, data: bytes) -> None:
        try:
            module = module_of(read(name, data))
        except UnreadableError as error:
            self.unread.append(Unread(name, str(error), error.line))
            return
        except RecursionError:
            self.unread.append(Unread(name, "it is nested too deeply", None))
            return
        self.modules[name] = module
        silent = comments(module.source.text)
        for line, ids in silent.items():
            path, told = module.source.told(line)
            self.silences.setdefault(path, {})[told] = ids
        config = configs.of_python(module)
        if config is not None:
            self.configs.append(config)

    def _data(self, name: str, text: str) -> None:
        if silent := comments(text):
            self.silences[name] = silent
        if name.endswith((".yaml", ".yml")):
            config = configs.of_yaml(name, text)
        elif name.endswith(".json"):
            config = configs.of_json(name, text)
        else:
            self.launches.extend(configs.launches(name, text))
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
) -> CodeFacts:
    """Return the facts of the code below ``paths``, without what matches ``exclude``.

    ``overlay`` has texts that stand for files on disk; ``installed`` are versions that count before the pins.

    Raises:
        LintError: a path does not exist, or there is nothing to read.
    """
    root = files.root_of(paths) if all(path.exists() for path in paths) else Path.cwd()
    project = _Project(root, overlay or {})
    for found in files.find(paths, project.root):
        if not found.vendored and not files.excluded(found.name, exclude):
            project.add(found)
    if not project.count and not project.unread:
        message = f"{', '.join(str(path) for path in paths)}: there is no code, configuration or script to read"
        raise LintError(message)
    for _ in range(_ROUNDS):
        for name in project.imported():
            project.add(files.Found(project.ignored.pop(name), name, vendored=False, ignored=False))
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
    return CodeFacts(
        modules=project.modules,
        configs=tuple(project.configs),
        launches=tuple(project.launches),
        unread=tuple(project.unread),
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
