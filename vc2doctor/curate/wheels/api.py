"""Make the table of public names, ``matrices/api.json.gz``, from the wheels of the training packages."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from vc2doctor.curate.wheels import index
from vc2doctor.curate.wheels.api_facts import ModuleFacts
from vc2doctor.curate.wheels.api_methods import MethodsCollected, spans_of
from vc2doctor.curate.wheels.api_release import Cache, ReleaseFacts, is_model_code
from vc2doctor.curate.wheels.table import WORKERS, files_by_version, wheel_to_open
from vc2doctor.matrix.api_file import HERE, INHERITS, OPEN, Api, PackageApi, to_text


class ApiSource(NamedTuple):
    """A package whose names are read."""

    name: str
    oldest: str
    """The oldest release to read: about that of autumn 2022, when people began to train adapters."""


API_SOURCES = (
    ApiSource("transformers", "4.18.0"),
    ApiSource("peft", "0.1.0"),
    ApiSource("trl", "0.2.0"),
    ApiSource("accelerate", "0.12.0"),
    ApiSource("bitsandbytes", "0.35.0"),
)

RENAMED_CLASSES = ("Tokenizer", "ImageProcessor")
"""Ends of the names of classes that transformers 5 also finds with ``Fast`` at the end."""

Bits = dict[str, dict[str, int]]
"""Owner → name → releases as bits; the owner's own releases are those of ``HERE``."""


def read_api(folder: Path, report: Callable[[str], None]) -> Api:
    """Return the table of all releases on the index; wheels are downloaded to ``folder``, progress goes to ``report``.

    Raises:
        ReleasesError: the index cannot be read.
    """
    packages = {}
    for source in API_SOURCES:
        report(f"reading the names of {source.name}")
        files = files_by_version(source.oldest, index.wheels(source.name))
        with ThreadPoolExecutor(WORKERS) as pool:
            paths = list(pool.map(lambda wheels: index.download(wheel_to_open(wheels), folder), files.values()))
        packages[source.name] = package_api(source.name, list(zip(files, paths, strict=True)))
    return Api(date=datetime.now(timezone.utc).date().isoformat(), packages=packages)


def package_api(package: str, files: Sequence[tuple[str, Path]]) -> PackageApi:
    """Return the names of a package; ``files`` are its releases, the oldest first, with their wheels."""
    collected, methods = _Collected(), MethodsCollected()
    cache: Cache = {}
    newest: ReleaseFacts | None = None
    for position, (_, path) in enumerate(files):
        newest = ReleaseFacts(path, package, cache)
        collected.add(newest, 1 << position)
        methods.add(newest, 1 << position)
    releases = tuple(version for version, _ in files)
    modules = dict(_spans(collected.modules, releases))
    return PackageApi(
        releases=releases,
        modules=modules,
        callables=dict(_spans(_limited(collected.callables), releases, keeps_all=True)),
        members={key: spans for key, spans in _spans(collected.known_members(), releases) if len(spans) > 1},
        shapes=spans_of(methods.shapes, releases),
        bases=spans_of(methods.bases, releases),
        passes={key: spans for key, spans in _spans(methods.passes, releases) if len(spans) > 1},
        moved=_moved(collected.modules, newest, 1 << len(files) - 1) if newest else {},
        renamed=collected.renamed,
    )


class _Collected:
    """What the releases that were read so far have."""

    def __init__(self) -> None:
        self.modules: Bits = defaultdict(dict)
        self.callables: Bits = defaultdict(dict)
        self.members: Bits = defaultdict(dict)
        self.defined: dict[str, set[str]] = defaultdict(set)
        """By class: the attributes that some release defines."""
        self.renamed: dict[str, str] = {}

    def add(self, release: ReleaseFacts, bit: int) -> None:
        """Add what a release has; ``bit`` stands for it."""
        for module, facts in release.modules.items():
            _mark(self.modules[module], _names(release, module, facts), bit)
        self._add_aliases(release, bit)
        for key, module, name in release.callables():
            members = release.members(module, name)
            if members is not None:
                _mark(self.members[key], members.defined | members.named, bit)
                self.defined[key] |= members.defined
            if not is_model_code(module):
                self._add_callable(release, (key, module, name), bit)

    def known_members(self) -> Bits:
        """Return the attributes of classes, without those that no release defines."""
        return {
            key: {name: selected for name, selected in bits.items() if name == HERE or name in self.defined[key]}
            for key, bits in self.members.items()
        }

    def _add_callable(self, release: ReleaseFacts, place: tuple[str, str, str], bit: int) -> None:
        key, module, name = place
        signature, foreign = release.effective(module, name)
        _mark(self.callables[key], signature.keywords, bit)
        _mark(
            self.callables[key], [*(INHERITS + base for base in foreign), *([OPEN] if signature.is_open else [])], bit
        )
        self.renamed.update({f"{key}:{old}": new for old, new in signature.renamed})

    def _add_aliases(self, release: ReleaseFacts, bit: int) -> None:
        """Add the modules and classes that a release keeps under their old names, as its ``__init__`` says.

        transformers 5 puts such modules into ``sys.modules``; only the names of the older releases are known of them.
        Its lazy modules also answer to the names of classes with ``Fast`` at their end (``_LazyModule.__getattr__``).
        """
        texts = release.modules[release.package].strings if release.package in release.modules else frozenset()
        if any("tokenization_utils_sentencepiece" in text for text in texts):
            for module in release.modules:
                bits = self.modules[module]
                kept = [name for name, selected in bits.items() if selected & bit and name.endswith(RENAMED_CLASSES)]
                _mark(bits, [f"{name}Fast" for name in kept], bit)
        keeps_images = any("image_processing_" in text and "_fast" in text for text in texts)
        for module, known in self.modules.items():
            is_kept = keeps_images and ".image_processing_" in module and module.endswith("_fast")
            short = module.removeprefix(f"{release.package}.")
            if module not in release.modules and (is_kept or module in texts or short in texts or f".{short}" in texts):
                _mark(known, list(known), bit)


def _names(release: ReleaseFacts, module: str, facts: ModuleFacts) -> Iterable[str]:
    """Return the names of a module; of one model's code those that it defines itself, since the others change often."""
    if is_model_code(module) and not facts.lazy_names:
        return facts.names - facts.imports.keys()
    return release.exported(module)


def _mark(bits: dict[str, int], names: Iterable[str], bit: int) -> None:
    for name in (HERE, *names):
        bits[name] = bits.get(name, 0) | bit


def _limited(callables: Bits) -> Bits:
    """Return the callables without those that take every keyword, or of which nothing is known, in all releases."""
    return {key: bits for key, bits in callables.items() if bits.get(OPEN) != bits[HERE]}


def _spans(table: Bits, releases: Sequence[str], *, keeps_all: bool = False) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the owners with their names, grouped by releases; ``keeps_all``: also those that no release lacks."""
    for owner, bits in sorted(table.items()):
        here, is_open = bits[HERE], bits.get(OPEN, 0)
        groups: dict[int, list[str]] = defaultdict(list)
        spans = {HERE: to_text(here, releases)}
        for name, selected in sorted(bits.items()):
            if name == OPEN or name.startswith(INHERITS):
                spans[name] = to_text(selected, releases)
            elif name != HERE and (keeps_all or selected | is_open != here):
                groups[selected | is_open].append(name)
        for selected, names in groups.items():
            spans[to_text(selected, releases)] = " ".join(names)
        yield owner, spans


def _moved(modules: Bits, newest: ReleaseFacts, bit: int) -> dict[str, str]:
    """Return the modules that define, in the newest release, the names that another module no longer has."""
    homes: dict[str, str] = {}
    for module, facts in sorted(newest.modules.items(), key=lambda item: len(item[0])):
        for name in (*facts.classes, *facts.functions):
            if not name.startswith("_"):
                homes.setdefault(name, module)
    return {
        f"{module}:{name}": homes[name]
        for module, bits in sorted(modules.items())
        for name, selected in bits.items()
        if not selected & bit and name in homes and not is_model_code(module)
    }


def text_of(api: Api) -> bytes:
    """Return the content of the file: JSON with one owner a line, compressed in the same way each time."""
    lines = json.dumps(api.model_dump(by_alias=True), separators=(",", ":"), ensure_ascii=False)
    text = lines.replace('},"', '},\n"').replace(':{"', ':{\n"')
    return gzip.compress(text.encode(), mtime=0)
