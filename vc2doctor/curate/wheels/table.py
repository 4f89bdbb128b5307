"""Read the wheels of every package that matters into one table: ``matrices/releases.json``."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from vc2doctor.curate.wheels.index import Wheel, download, wheels
from vc2doctor.curate.wheels.read import ContentsCache, Import, Reader
from vc2doctor.matrix.releases import ProvidedSymbol, Release, RequiredSymbol, Wheels, to_ranges


class PackageSource(NamedTuple):
    """A package whose wheels are read."""

    name: str
    oldest: str
    """The oldest release to read: the matrix is measured from it on, or measured releases can be installed with it."""
    entries: tuple[str, ...] = ()
    """The modules that a training step imports; empty: only the declared requirements are read."""
    opened: bool = True
    """Whether the wheels are downloaded. Those of torch are too large for what they would show, and the others that are
    not opened require nothing that matters."""


_MODEL_MODULES = (
    "models.mistral.modeling_mistral",
    "models.llama.modeling_llama",
    "generation.utils",
    "modeling_utils",
)
SOURCES = (
    PackageSource("peft", "0.3.0", ("peft",)),
    PackageSource("transformers", "4.28.0", ("transformers", *(f"transformers.{name}" for name in _MODEL_MODULES))),
    PackageSource("accelerate", "0.20.0", ("accelerate",)),
    PackageSource("huggingface-hub", "0.14.0", ("huggingface_hub",)),
    PackageSource("torch", "1.13.1", opened=False),
    PackageSource("torchvision", "0.14.1"),
    # A remedy may change these, so their releases, Pythons and requirements must be known.
    PackageSource("tokenizers", "0.13.2"),
    PackageSource("safetensors", "0.3.0", opened=False),
    PackageSource("numpy", "1.22.0", opened=False),
    PackageSource("setuptools", "65.0.0", opened=False),
    PackageSource("jinja2", "3.0.0", opened=False),
)
IMPORTERS = frozenset({"peft", "transformers", "accelerate"})
"""Packages whose imports are looked up in the others."""
DECLARED_ONLY = frozenset({"torchvision", "tokenizers"})
"""Packages that are read for the requirements that they declare; no symbols are looked up in them."""

_DECLARED_PACKAGES = frozenset(source.name for source in SOURCES)
"""Packages whose declared versions are kept."""

Readers = Mapping[str, Mapping[str, Reader]]
"""By package and version."""


def read_all(folder: Path, report: Callable[[str], None]) -> Wheels:
    """Return the table of all wheels on the index; they are downloaded to ``folder``, and progress goes to ``report``.

    Raises:
        ReleasesError: the index cannot be read.
    """
    files = {source.name: _files_by_version(source, wheels(source.name)) for source in SOURCES}
    readers = {source.name: _open_wheels(files[source.name], folder) for source in SOURCES if source.opened}
    required = _required_symbols(readers, report)
    providing = _providing_releases({(module, symbol) for _, module, symbol in required}, readers, report)
    # A symbol that every release provides cannot be missing.
    kept = {
        key: importing
        for key, importing in sorted(required.items())
        if len(providing[key[1:]]) < len(readers[_distribution(key[1])])
    }
    ordered = {name: tuple(sorted(versions, key=Version)) for name, versions in files.items()}
    return Wheels(
        date=datetime.now(timezone.utc).date().isoformat(),
        releases={
            name: {text: _release(some, readers.get(name, {}).get(text)) for text, some in versions.items()}
            for name, versions in files.items()
        },
        required=tuple(_required(key, importing, ordered) for key, importing in kept.items()),
        provided=tuple(
            ProvidedSymbol(
                package=_distribution(module),
                module=module,
                symbol=symbol,
                releases=to_ranges(providing[module, symbol], ordered[_distribution(module)]),
            )
            for module, symbol in sorted({key[1:] for key in kept})
        ),
    )


def _distribution(module: str) -> str:
    return module.partition(".")[0].replace("_", "-")


def _files_by_version(source: PackageSource, files: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    by_version: dict[str, list[Wheel]] = defaultdict(list)
    for file in files:
        if Version(file.version) >= Version(source.oldest):
            by_version[file.version].append(file)
    return by_version


def _open_wheels(files_by_version: Mapping[str, list[Wheel]], folder: Path) -> dict[str, Reader]:
    cache: ContentsCache = {}
    return {
        text: Reader(download(files[0], folder), files[0].name.replace("-", "_"), cache)
        for text, files in files_by_version.items()
    }


SymbolKey = tuple[str, str, str]
"""Importing package, module, symbol."""


def _required_symbols(readers: Readers, report: Callable[[str], None]) -> dict[SymbolKey, dict[str, str]]:
    """Return the symbols that packages import from each other, with the importing file by release."""
    required: dict[SymbolKey, dict[str, str]] = defaultdict(dict)
    for source in SOURCES:
        if source.name not in IMPORTERS:
            continue
        report(f"reading what {source.name} imports")
        others = frozenset(name.replace("-", "_") for name in readers if name not in {source.name, *DECLARED_ONLY})
        for text, reader in readers[source.name].items():
            for (module, symbol), file in reader.required_symbols(source.entries, others).items():
                required[source.name, module, symbol][text] = file
    return required


def _providing_releases(wanted: set[Import], readers: Readers, report: Callable[[str], None]) -> dict[Import, set[str]]:
    """Return the releases that provide each of the ``wanted`` symbols."""
    providing: dict[Import, set[str]] = defaultdict(set)
    for name, by_version in readers.items():
        report(f"reading what {name} provides")
        symbols = [(module, symbol) for module, symbol in wanted if _distribution(module) == name]
        for text, reader in by_version.items():
            for module, symbol in symbols:
                if reader.provides(module, symbol):
                    providing[module, symbol].add(text)
    return providing


def _required(key: SymbolKey, importing: Mapping[str, str], ordered: Mapping[str, tuple[str, ...]]) -> RequiredSymbol:
    package, module, symbol = key
    return RequiredSymbol(
        package=package,
        module=module,
        symbol=symbol,
        file=importing[max(importing, key=Version)],
        releases=to_ranges(set(importing), ordered[package]),
    )


def _release(files: list[Wheel], reader: Reader | None) -> Release:
    return Release(
        date=min(file.uploaded for file in files),
        python=files[0].requires_python or "",
        built_for=_built_for(files),
        requires=_requires(reader.requirements() if reader else ()),
        yanked=all(file.yanked for file in files),
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
            specifiers[name] = str(requirement.specifier)
    return specifiers
