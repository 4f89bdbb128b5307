"""Reads all the wheels that matter into one table: ``matrices/releases.json``."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from vc2doctor.curate.wheels.index import Wheel, download, wheels
from vc2doctor.curate.wheels.read import Contents, Reader
from vc2doctor.matrix.releases import ProvidedSymbol, Release, RequiredSymbol, Wheels, runs


class Source(NamedTuple):
    """A package whose wheels are read."""

    name: str
    oldest: str
    entries: tuple[str, ...] = ()
    """The modules that a training step imports; none: only what its releases declare is read."""
    opened: bool = True
    """Whether its wheels are fetched at all: those of torch are too large for what they would tell."""


_MODELS = ("models.mistral.modeling_mistral", "models.llama.modeling_llama", "generation.utils", "modeling_utils")
SOURCES = (
    Source("peft", "0.3.0", ("peft",)),
    Source("transformers", "4.28.0", ("transformers", *(f"transformers.{name}" for name in _MODELS))),
    Source("accelerate", "0.20.0", ("accelerate",)),
    Source("huggingface-hub", "0.14.0", ("huggingface_hub",)),
    Source("torch", "1.13.1", opened=False),
    Source("torchvision", "0.14.1"),
)
"""Oldest releases: those from which on the matrix is measured, or that those can be installed with."""
_MATTERS = frozenset({*(source.name for source in SOURCES), "tokenizers", "numpy", "safetensors"})
_NEEDY = frozenset({"peft", "transformers", "accelerate"})

SymbolKey = tuple[str, str, str]
"""Package, module, symbol."""


def read_all(folder: Path, tell: Callable[[str], None]) -> Wheels:
    """Return what the wheels on the index say; they are kept in ``folder``.

    Raises:
        ReleasesError: the index cannot be read.
    """
    found = {source.name: _of_versions(source, wheels(source.name)) for source in SOURCES}
    readers = {source.name: _readers(found[source.name], folder) for source in SOURCES if source.opened}
    releases = {
        source.name: {text: _release(some, readers.get(source.name, {}).get(text)) for text, some in versions.items()}
        for source, versions in zip(SOURCES, found.values(), strict=True)
    }
    needs: dict[SymbolKey, dict[str, str]] = defaultdict(dict)
    for source in SOURCES:
        if source.name in _NEEDY:
            tell(f"what {source.name} imports")
            for text, reader in readers[source.name].items():
                others = frozenset(
                    other.replace("-", "_") for other in readers if other not in (source.name, "torchvision")
                )
                for (module, symbol), file in reader.needs(source.entries, others).items():
                    needs[source.name, module, symbol][text] = file
    having = _having({(module, symbol) for _, module, symbol in needs}, readers, tell)
    kept = [(key, files) for key, files in sorted(needs.items()) if len(having[key[1:]]) < len(readers[_of(key[1])])]
    ordered = {name: tuple(sorted(versions, key=Version)) for name, versions in releases.items()}
    return Wheels(
        date=datetime.now(timezone.utc).date().isoformat(),
        releases=releases,
        required=tuple(_need(key, files, ordered) for key, files in kept),
        provided=tuple(
            ProvidedSymbol(
                package=_of(module),
                module=module,
                symbol=symbol,
                releases=runs(having[module, symbol], ordered[_of(module)]),
            )
            for module, symbol in sorted({key[1:] for key, _ in kept})
        ),
    )


def _of(module: str) -> str:
    return module.partition(".")[0].replace("_", "-")


def _of_versions(source: Source, listed: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    found: dict[str, list[Wheel]] = defaultdict(list)
    for wheel in listed:
        if Version(wheel.version) >= Version(source.oldest):
            found[wheel.version].append(wheel)
    return found


def _readers(versions: dict[str, list[Wheel]], folder: Path) -> dict[str, Reader]:
    known: dict[tuple[str, int, int], Contents] = {}
    return {
        text: Reader(download(some[0], folder), some[0].name.replace("-", "_"), known)
        for text, some in versions.items()
    }


def _having(
    wanted: set[tuple[str, str]], readers: dict[str, dict[str, Reader]], tell: Callable[[str], None]
) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, by_version in readers.items():
        tell(f"what {name} has")
        asked = [pair for pair in wanted if _of(pair[0]) == name]
        for text, reader in by_version.items():
            for pair in asked:
                if reader.has(*pair):
                    found[pair].add(text)
    return found


def _need(key: SymbolKey, files: dict[str, str], ordered: dict[str, tuple[str, ...]]) -> RequiredSymbol:
    package, module, symbol = key
    newest = max(files, key=Version)
    return RequiredSymbol(
        package=package, module=module, symbol=symbol, file=files[newest], releases=runs(set(files), ordered[package])
    )


def _release(files: list[Wheel], reader: Reader | None) -> Release:
    return Release(
        date=min(file.uploaded for file in files),
        python=files[0].requires_python or "",
        built_for=_built_for(files),
        requires=_requires(reader.declared() if reader else ()),
        yanked=all(file.yanked for file in files),
    )


def _built_for(files: Iterable[Wheel]) -> tuple[str, ...]:
    tags = [tag.split("-") for file in files for tag in file.tags]
    found = {
        f"3.{interpreter[3:]}"
        for interpreter, abi, platform in tags
        if interpreter.startswith("cp3") and abi == interpreter and "linux" in platform and platform.endswith("x86_64")
    }
    return tuple(sorted(found, key=Version))


def _requires(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if name in _MATTERS and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found[name] = str(requirement.specifier)
    return found
