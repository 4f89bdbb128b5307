"""Recognizes copies of libraries inside a project: by what a folder contains, not by the name of the folder."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from vc2doctor.core import reading
from vc2doctor.linter.read.libraries import DISTRIBUTIONS, LAYOUTS, MIN_MODEL_FOLDERS

_SETUP_FILES = ("setup.py", "pyproject.toml", "setup.cfg")
_DISTRIBUTION_NAME = re.compile(r"""\bname\s*=\s*["']?([\w.-]{1,100})""")
_VERSION = re.compile(r"""^__version__\s*=\s*["']([^"'\n]{1,100})["']""", re.MULTILINE)
_VERSION_FILES = ("__init__.py", "version.py", "package_info.py")
MAX_START_BYTES = 64 * 1024
"""How much of a setup file or ``__init__.py`` is read. The longest of the libraries' setup files has 20 kB; their
``__init__.py`` have the version in the first lines, and that of transformers goes on for 300 kB."""


_OF_REPOSITORY = ("tests", "docs")
"""Folders of a repository of a library that people delete first when they keep only what they need."""
_OWN_PROGRAMS = ("examples", "benchmarks", "docs", "tests", "scripts", "utils")
"""Folders of such a repository whose programs are the library's own."""


class Library(NamedTuple):
    """A library that a folder is a copy of."""

    name: str
    version: str | None

    @property
    def title(self) -> str:
        """The name, with the version if the copy says it."""
        return f"{self.name} {self.version}" if self.version else self.name


def copied_library(folder: str, files: list[str], subfolders: list[str]) -> Library | None:
    """Return the library whose package a folder is, or ``None``.

    ``files`` and ``subfolders`` are the names of what the folder directly contains. Of a checkout of a library's
    repository only the package is a copy: projects keep training programs of their own beside it.
    """
    name = _library_of_package(folder, set(files), set(subfolders))
    return Library(name, _version(folder, files)) if name is not None else None


def folders_of_library(folder: str, files: list[str], subfolders: list[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return the library whose whole repository a folder is a copy of, with the subfolders that hold its own programs.

    ``None``: it is none, or only a part of one, beside which a project has programs of its own.
    """
    is_whole = set(_OF_REPOSITORY).issubset(subfolders)
    name = _distribution(Path(folder), files) if is_whole else None
    if name is None:
        return None
    packages = (Path(folder, part) for part in ("src", "") if not part or part in subfolders)
    inside = (child for package in packages for child in _subfolders(package))
    if not any(_library_of_package(str(child), *map(set, _contents(child))) == name for child in inside):
        return None
    return name, tuple(each for each in _OWN_PROGRAMS if each in subfolders)


def _subfolders(folder: Path) -> list[Path]:
    return [folder / name for name in _contents(folder)[1]]


def libraries_around(top: Path) -> frozenset[str]:
    """Return the libraries whose package or repository a folder is or lies in: there they are the project itself."""
    names: set[str] = set()
    for folder in (top, *top.parents):
        files, subfolders = _contents(folder)
        package = copied_library(str(folder), files, subfolders)
        names.update(name for name in (package and package.name, _distribution(folder, files)) if name is not None)
        if ".git" in files or ".git" in subfolders:
            break
    return frozenset(names)


def _library_of_package(folder: str, files: set[str], subfolders: set[str]) -> str | None:
    for layout in LAYOUTS:
        if layout.fits(files, subfolders) and all(Path(folder, path).is_file() for path in layout.deeper):
            return layout.library
    if len(subfolders) >= MIN_MODEL_FOLDERS:
        models = sum(Path(folder, name, f"modeling_{name}.py").is_file() for name in subfolders)
        return "transformers" if models >= MIN_MODEL_FOLDERS else None
    return None


def _distribution(folder: Path, files: list[str]) -> str | None:
    """Return the library that the setup files of a folder name, or ``None``."""
    for setup_file in _SETUP_FILES:
        if setup_file in files:
            for name in _DISTRIBUTION_NAME.findall(_start_of(folder / setup_file)):
                if name.lower() in DISTRIBUTIONS:
                    return DISTRIBUTIONS[name.lower()]
    return None


def _version(folder: str, files: list[str]) -> str | None:
    for name in _VERSION_FILES:
        match = _VERSION.search(_start_of(Path(folder, name))) if name in files else None
        if match is not None:
            return match.group(1)
    return None


def _contents(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the subfolders of a folder; none if it cannot be listed."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return [], []
    folders = {entry.name for entry in entries if _is_folder(entry)}
    return [entry.name for entry in entries if entry.name not in folders], sorted(folders)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself.
        return False


def _start_of(path: Path) -> str:
    """Return the start of a file as text; empty if it cannot be read."""
    try:
        return reading.read_start(path, MAX_START_BYTES).decode("utf-8", "replace")
    except reading.ReadError:
        return ""
