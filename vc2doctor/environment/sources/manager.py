"""What manages the packages of the environment: files that uv, poetry and conda leave. A command must use the same."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vc2doctor.core import parsing, reading
from vc2doctor.environment.model import Manager
from vc2doctor.environment.sources import Context, Source

_MADE_BY_UV = re.compile(r"^uv\s*=", re.MULTILINE)
_GROUP_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_PROJECT_ENVIRONMENT = ".venv"
"""The folder, beside ``pyproject.toml``, that uv and poetry use for the environment of a project."""
MAX_PROJECT_BYTES = 1024 * 1024
"""Of a pyproject.toml; the longest of published projects have about 50 kB."""
_POETRY_CACHE = ("pypoetry", "virtualenvs")
"""poetry makes the environments of other projects below ``~/.cache/pypoetry/virtualenvs``."""


def observe(prefix: Path, folder: Path) -> Manager:
    """Return what manages the environment at ``prefix``, for a training that is started in ``folder``."""
    uv_project = _project(prefix, "uv.lock")
    poetry_project = _project(prefix, "poetry.lock") or _project_of_cached(prefix, folder)
    project = uv_project or poetry_project
    return Manager(
        made_by_uv=_MADE_BY_UV.search(reading.text_or_empty(prefix / "pyvenv.cfg", MAX_PROJECT_BYTES)) is not None,
        uv_project=str(uv_project) if uv_project else None,
        poetry_project=str(poetry_project) if poetry_project else None,
        direct=dict(_direct(_table(project / "pyproject.toml"))) if project else {},
        conda_packages=_conda_packages(prefix),
    )


def _project(prefix: Path, lock: str) -> Path | None:
    """Return the folder of the project whose own environment is at ``prefix``, if the project has the file ``lock``."""
    folder = prefix.parent
    is_project = (folder / lock).is_file() and (folder / "pyproject.toml").is_file()
    return folder if prefix.name == _PROJECT_ENVIRONMENT and is_project else None


def _project_of_cached(prefix: Path, folder: Path) -> Path | None:
    if not set(_POETRY_CACHE) <= set(prefix.parts):
        return None
    candidates = (folder, *folder.parents)
    return next((path for path in candidates if (path / "poetry.lock").is_file()), None)


def _conda_packages(prefix: Path) -> tuple[str, ...]:
    """Return the packages of conda in its own names: a record is ``conda-meta/NAME-VERSION-BUILD.json``."""
    try:
        records = sorted(path.stem for path in (prefix / "conda-meta").glob("*-*-*.json"))
    except OSError:
        return ()
    return tuple(record.rsplit("-", 2)[0] for record in records)


def _direct(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the direct requirements of a project: the name, and the group in the words of an option."""
    poetry = _mapping(_mapping(table.get("tool")).get("poetry"))
    for group, entry in _named(poetry.get("group")):
        names = _mapping(_mapping(entry).get("dependencies"))
        yield from ((canonicalize_name(name), f"--group {group}") for name in names)
    for group, texts in _named(table.get("dependency-groups")):
        yield from ((name, f"--group {group}") for name in _names(texts))
    project = _mapping(table.get("project"))
    for extra, texts in _named(project.get("optional-dependencies")):
        yield from ((name, f"--optional {extra}") for name in _names(texts))
    # The requirements of the project itself come last: they win over a group that repeats one of them.
    yield from ((canonicalize_name(name), "") for name in _mapping(poetry.get("dependencies")))
    yield from ((name, "") for name in _names(project.get("dependencies")))


def _named(groups: object) -> Iterator[tuple[str, Any]]:
    """Yield the groups whose names are names: they become words of a command, where ``x --index URL`` would be more."""
    yield from ((name, entry) for name, entry in _mapping(groups).items() if _GROUP_NAME.fullmatch(name))


def _names(texts: object) -> Iterator[str]:
    for text in texts if isinstance(texts, list) else ():
        with contextlib.suppress(InvalidRequirement):
            yield canonicalize_name(Requirement(str(text)).name)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _table(path: Path) -> Mapping[str, Any]:
    try:
        return parsing.parse_toml(reading.text_or_empty(path, MAX_PROJECT_BYTES))
    except parsing.MalformedError:
        return {}


def _observe(context: Context) -> Manager:
    return observe(context.prefix, context.folder)


SOURCE = Source("manager", _observe, Manager)
