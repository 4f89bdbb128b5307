"""Read the wheels of every package that matters into one table: ``matrices/releases.json``."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from vc2doctor.core import builds
from vc2doctor.curate.wheels import index, symbols
from vc2doctor.curate.wheels.index import Wheel
from vc2doctor.curate.wheels.read import Cache, Reader
from vc2doctor.matrix.releases import Release, Wheels


class PackageSource(NamedTuple):
    """A package whose releases are read."""

    name: str
    oldest: str
    """The oldest release to read: the matrix is measured from it on, or measured releases can be installed with it."""
    is_opened: bool = True
    """Whether the wheels are opened; if not, only the metadata in the index is read."""


SOURCES = (
    PackageSource("peft", "0.3.0"),
    PackageSource("transformers", "4.28.0"),
    PackageSource("accelerate", "0.20.0"),
    PackageSource("huggingface-hub", "0.14.0"),
    PackageSource("torch", "1.13.1"),
    PackageSource("torchvision", "0.14.1"),
    PackageSource("tokenizers", "0.13.2"),
    PackageSource("trl", "0.4.2"),
    PackageSource("bitsandbytes", "0.37.0"),
    PackageSource("torchao", "0.1"),
    PackageSource("datasets", "2.8.0"),
    PackageSource("lightning", "2.0.0", is_opened=False),
    PackageSource("setuptools", "65.0.0"),
    # A remedy may change these, so their releases, Pythons and requirements must be known.
    PackageSource("safetensors", "0.3.0", is_opened=False),
    PackageSource("numpy", "1.22.0", is_opened=False),
    PackageSource("jinja2", "3.0.0", is_opened=False),
    PackageSource("sentencepiece", "0.1.97", is_opened=False),
    PackageSource("protobuf", "3.20.2", is_opened=False),
    # Source distributions, for the most part: they are not built, so what they import is not known.
    PackageSource("deepspeed", "0.8.0", is_opened=False),
    PackageSource("flash-attn", "1.0.0", is_opened=False),
)
WORKERS = 4
"""Downloads at a time: the index is a shared service."""

_DECLARED_PACKAGES = frozenset(source.name for source in SOURCES)
"""Packages whose declared versions are kept."""
_PREFERRED_PYTHONS = ("cp311", "cp310", "cp38", "abi3", "")
"""Wheels of one release contain the same sources for every Python; one of these is opened."""


def read_all(folder: Path, report: Callable[[str], None]) -> Wheels:
    """Return the table of all releases on the index; wheels are downloaded to ``folder``, progress goes to ``report``.

    Raises:
        ReleasesError: the index cannot be read.
    """
    files = {source.name: _files_of(source) for source in SOURCES}
    readers = {}
    for source in SOURCES:
        if source.is_opened:
            report(f"downloading {source.name}")
            readers[source.name] = _open_wheels(files[source.name], folder)
    releases = {name: _releases(by_version, readers.get(name, {}), folder) for name, by_version in files.items()}
    found = symbols.read(readers, releases, report)
    return Wheels(
        date=datetime.now(timezone.utc).date().isoformat(),
        releases=releases,
        required=found.required,
        provided=found.provided,
        refusals=found.refusals,
    )


def _files_of(source: PackageSource) -> dict[str, list[Wheel]]:
    """Return the wheels by version, and source distributions of packages that are not opened."""
    files = index.wheels(source.name) if source.is_opened else index.files(source.name)
    return files_by_version(source.oldest, files)


def files_by_version(oldest: str, files: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    """Return the files of each release from ``oldest`` on, in the order of ``files``."""
    by_version: dict[str, list[Wheel]] = defaultdict(list)
    for file in files:
        if Version(file.version) >= Version(oldest):
            by_version[file.version].append(file)
    return by_version


def _open_wheels(files_by_version: Mapping[str, list[Wheel]], folder: Path) -> dict[str, Reader]:
    cache = Cache()
    chosen = {text: wheel_to_open(files) for text, files in files_by_version.items()}
    with ThreadPoolExecutor(WORKERS) as pool:
        paths = list(pool.map(lambda wheel: index.download(wheel, folder), chosen.values()))
    return {
        text: Reader(path, wheel.name.replace("-", "_"), cache)
        for (text, wheel), path in zip(chosen.items(), paths, strict=True)
    }


def wheel_to_open(files: Iterable[Wheel]) -> Wheel:
    """Return the file of one release whose sources are read."""

    def rank(wheel: Wheel) -> tuple[int, int]:
        is_linux = any("linux" in tag and tag.endswith("x86_64") for tag in wheel.tags)
        is_pure = any(tag.endswith("-none-any") for tag in wheel.tags)
        python = next(place for place, text in enumerate(_PREFERRED_PYTHONS) if any(text in tag for tag in wheel.tags))
        return 0 if is_pure else 1 + (not is_linux), python

    return min(files, key=rank)


def _releases(
    files_by_version: Mapping[str, list[Wheel]], readers: Mapping[str, Reader], folder: Path
) -> dict[str, Release]:
    def release(item: tuple[str, list[Wheel]]) -> Release:
        text, files = item
        if text in readers:
            return _release(files, readers[text].requirements(), readers[text].build())
        return _release(files, index.requirements(files, folder))

    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(files_by_version, pool.map(release, files_by_version.items()), strict=True))


def _release(files: list[Wheel], declared: Iterable[str], build: str = "") -> Release:
    return Release(
        date=min(file.uploaded for file in files),
        python=files[0].requires_python or "",
        built_for=_built_for(files),
        requires=_requires(declared),
        yanked=all(file.yanked for file in files),
        build=build,
    )


def _built_for(files: Iterable[Wheel]) -> tuple[str, ...]:
    """Return the minor versions of CPython with a Linux x86-64 wheel; empty: the wheels serve every Python."""
    tags = [tag.split("-") for file in files for tag in file.tags]
    pythons = {
        f"3.{interpreter[3:]}"
        for interpreter, abi, platform in tags
        if interpreter.startswith("cp3") and abi == interpreter and "linux" in platform and platform.endswith("x86_64")
    }
    return tuple(sorted(pythons, key=Version))


def _requires(texts: Iterable[str]) -> dict[str, str]:
    """Return the declared specifiers of the packages that matter, by name, without those of extras."""
    specifiers: dict[str, str] = {}
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if name in _DECLARED_PACKAGES and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            # A wheel can name the build that it was tested with (==2.0.0+cu117); every build has the same interface.
            specifiers[name] = builds.without(str(requirement.specifier))
    return specifiers
