"""Compare what packages need from each other with what they provide, over all releases that were read."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path
from typing import NamedTuple, TypeVar

from packaging.version import Version

from vc2doctor.curate.wheels.doors import ENTRIES, LOADED, ROOTS, roots_in
from vc2doctor.curate.wheels.guards import ALWAYS
from vc2doctor.curate.wheels.read import Cache, Reader
from vc2doctor.curate.wheels.walk import FrozenCondition, Need, Needs, needs
from vc2doctor.matrix.door_table import lineage
from vc2doctor.matrix.releases import (
    DISTRIBUTIONS,
    ProvidedSymbol,
    Refusal,
    Release,
    RequiredSymbol,
    distribution,
    range_specifier,
    to_ranges,
)
from vc2doctor.target.doors import LOOP

NESTED = ("torch.utils.cpp_extension",)
"""Modules that need a third package only if somebody imports them: ``import torch`` does not."""
NESTED_PACKAGES = frozenset({"pkg_resources"})
PROCESSES = os.cpu_count() or 1
RELEASES_PER_TASK = 12
"""Consecutive releases that one process reads: most files of one release are those of the one before."""
MAX_AHEAD = timedelta(days=90)
"""How long after a release the packages that it needs may follow: main branches are developed together."""

_ResultT = TypeVar("_ResultT")
_Symbol = tuple[str, str]
"""Module and symbol."""

Readers = Mapping[str, Mapping[str, Reader]]
"""By package and version."""


class Symbols(NamedTuple):
    """What the wheels need and provide."""

    required: tuple[RequiredSymbol, ...]
    provided: tuple[ProvidedSymbol, ...]
    refusals: tuple[Refusal, ...]


class _Key(NamedTuple):
    """What a package needs behind a door; releases that need the same are collected."""

    package: str
    door: str
    need: Need


class _RefusalKey(NamedTuple):
    package: str
    door: str
    condition: FrozenCondition


class _Collected(NamedTuple):
    """The files that need something, by release."""

    needs: dict[_Key, dict[str, str]]
    refusals: dict[_RefusalKey, dict[str, str]]


def read(readers: Readers, releases: Mapping[str, Mapping[str, Release]], report: Callable[[str], None]) -> Symbols:
    """Return what the wheels need from each other behind each door, and which releases provide it.

    A package whose older releases lack a door needs the door from itself.
    """
    collected = _collect(readers, report)
    for door, (module, symbol) in ENTRIES.items():
        if module in readers:
            need = Need(module, symbol, is_use=False, condition=())
            collected.needs[_Key(module, door, need)] = dict.fromkeys(readers[module], "")
    providing = _providing({key.need for key in collected.needs}, readers, report)
    ordered = {name: tuple(sorted(versions, key=Version)) for name, versions in releases.items()}
    kept: dict[_Key, dict[str, str]] = {}
    for key, files in sorted(collected.needs.items()):
        provided = providing[_symbol(key.need)]
        # A symbol that every release provides cannot be missing.
        if len(provided) < len(ordered[distribution(key.need.module)]):
            provider = distribution(key.need.module)
            is_own = key.package == provider
            satisfiable = files if is_own else _satisfiable(files, releases[key.package], provided, releases[provider])
            if satisfiable:
                kept[key] = satisfiable
    return Symbols(
        required=tuple(_required(key, files, ordered) for key, files in kept.items()),
        provided=tuple(
            ProvidedSymbol(
                package=distribution(module),
                module=module,
                symbol=symbol,
                releases=to_ranges(providing[module, symbol], ordered[distribution(module)]),
            )
            for module, symbol in sorted({_symbol(key.need) for key in kept})
        ),
        refusals=tuple(_refusal(key, files, ordered) for key, files in sorted(collected.refusals.items())),
    )


def _symbol(need: Need) -> _Symbol:
    return need.module, need.symbol


def _satisfiable(
    files: Mapping[str, str], importing: Mapping[str, Release], provided: set[str], providers: Mapping[str, Release]
) -> dict[str, str]:
    """Return the releases whose need some release of the provider met at that time.

    Everybody tries a package before releasing it. If no release of the provider had the symbol then, the reader is
    mistaken about it: compiled code or an assignment at run time binds it.
    """
    dates = [providers[text].date for text in provided]
    result = {}
    for text, file in files.items():
        latest = (date.fromisoformat(importing[text].date) + MAX_AHEAD).isoformat() if importing[text].date else "9999"
        if any(day <= latest for day in dates):
            result[text] = file
    return result


def _collect(readers: Readers, report: Callable[[str], None]) -> _Collected:
    """Return what packages need from each other, and refuse, with the file by release."""
    collected = _Collected(defaultdict(dict), defaultdict(dict))
    others = frozenset({*(name.replace("-", "_") for name in readers), *DISTRIBUTIONS})
    nested = _nested_needs(readers)
    for name, by_version in readers.items():
        package = name.replace("-", "_")
        doors = tuple(door for door in ROOTS if roots_in(door, package))
        if doors:
            report(f"reading what {name} needs")
            paths = [(text, reader.path) for text, reader in by_version.items()]
            for text, by_door in _in_parallel(_needs_by_door, paths, package, doors, others - {package}):
                _add(collected, name, text, by_door, nested)
    return _Collected(_with_loaders(collected.needs, readers), collected.refusals)


def _with_loaders(collected: Mapping[_Key, dict[str, str]], readers: Readers) -> dict[_Key, dict[str, str]]:
    """Return what was collected; a package of ``LOADED`` needs something only beside a release that loads it."""
    result = {key: files for key, files in collected.items() if key.package not in LOADED}
    loaders = {package: list(_loaders(package, result, readers)) for package in LOADED}
    for key, files in collected.items():
        for loader in loaders.get(key.package, ()):
            condition = tuple(sorted((*key.need.condition, loader)))
            result[key._replace(need=key.need._replace(condition=condition))] = files
    return result


def _loaders(package: str, collected: Mapping[_Key, dict[str, str]], readers: Readers) -> Iterator[tuple[str, str]]:
    """Yield the packages that import ``package`` in the loop where it is installed, with ranges of their releases."""
    releases: dict[str, set[str]] = defaultdict(set)
    for key, files in collected.items():
        is_loading = distribution(key.need.module) == package and not key.need.is_use
        # A condition on a third package leaves open whether it is loaded.
        if key.door == LOOP and is_loading and {name for name, _ in key.need.condition} <= {package}:
            releases[key.package].update(files)
    for name, selected in releases.items():
        ordered = tuple(sorted(readers[name], key=Version))
        yield from ((name, range_specifier(some, ordered)) for some in to_ranges(selected, ordered))


_Paths = Sequence[tuple[str, Path]]
_NeedsByDoor = Mapping[str, Needs]


def _in_parallel(
    read: Callable[..., list[tuple[str, _ResultT]]], paths: _Paths, *arguments: object
) -> Iterator[tuple[str, _ResultT]]:
    """Yield what ``read`` returns about each release; the releases are spread over processes."""
    parts = [paths[start : start + RELEASES_PER_TASK] for start in range(0, len(paths), RELEASES_PER_TASK)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        for result in pool.map(read, parts, *map(repeat, arguments)):
            yield from result


def _needs_by_door(
    paths: _Paths, package: str, doors: Sequence[str], others: frozenset[str]
) -> list[tuple[str, _NeedsByDoor]]:
    cache = Cache()
    result: list[tuple[str, _NeedsByDoor]] = []
    for text, path in paths:
        reader = Reader(path, package, cache)
        result.append((text, {door: needs(reader, roots_in(door, package), others) for door in doors}))
    return result


def _add(
    collected: _Collected, name: str, text: str, by_door: _NeedsByDoor, nested: Mapping[str, Iterable[Need]]
) -> None:
    """Add what one release needs behind each door, beyond what the doors on the way to it need."""
    for door, read in by_door.items():
        earlier = [by_door[parent] for parent in lineage(door)[1:] if parent in by_door]
        for need, file in (*read.symbols.items(), *_nested_in(read, nested)):
            if not any(_covers(parent, need) for parent in earlier):
                collected.needs[_Key(name, door, need)][text] = file
        for condition, file in read.refusals.items():
            if not any(condition in parent.refusals for parent in earlier):
                collected.refusals[_RefusalKey(name, door, condition)][text] = file


def _covers(parent: Needs, need: Need) -> bool:
    """Return whether a door that is passed on the way needs the same, under the same or no condition."""
    return need in parent.symbols or need._replace(condition=()) in parent.symbols


def _nested_needs(readers: Readers) -> dict[str, list[Need]]:
    """Return what importing each of ``NESTED`` needs in turn, with the releases of its package as the condition."""
    found: dict[str, list[Need]] = {}
    for module in NESTED:
        name = distribution(module)
        by_version = readers.get(name, {})
        ordered = tuple(sorted(by_version, key=Version))
        releases: dict[str, set[str]] = defaultdict(set)
        for text, reader in by_version.items():
            for entry in reader.contents(module).imports:
                if entry.module in NESTED_PACKAGES and reader.condition(entry.guards, module) == ALWAYS:
                    releases[entry.module].add(text)
        found[module] = [
            Need(target, "", is_use=False, condition=((name, range_specifier(some, ordered)),))
            for target, selected in releases.items()
            for some in to_ranges(selected, ordered)
        ]
    return found


def _nested_in(read: Needs, nested: Mapping[str, Iterable[Need]]) -> Iterator[tuple[Need, str]]:
    for need, file in read.symbols.items():
        if not need.condition:
            for further in nested.get(need.module, ()):
                yield further, file


def _providing(wanted: set[Need], readers: Readers, report: Callable[[str], None]) -> dict[_Symbol, set[str]]:
    """Return the releases that provide each of the ``wanted`` symbols."""
    providing: dict[_Symbol, set[str]] = defaultdict(set)
    for name, by_version in readers.items():
        symbols = sorted({_symbol(need) for need in wanted if distribution(need.module) == name})
        if symbols:
            report(f"reading what {name} provides")
            paths = [(text, reader.path) for text, reader in by_version.items()]
            only_used: dict[_Symbol, set[str]] = defaultdict(set)
            for text, found in _in_parallel(_provided, paths, name.replace("-", "_"), symbols):
                for symbol, is_only_used in found.items():
                    providing[symbol].add(text)
                    if is_only_used:
                        only_used[symbol].add(text)
            for symbol, releases in only_used.items():
                if releases == providing[symbol]:
                    providing[symbol] |= _later(releases, by_version)
    return providing


def _later(releases: Iterable[str], known: Iterable[str]) -> set[str]:
    """Return the releases after the first of some: that a package stops using a name of its own removes no name."""
    first = min(map(Version, releases))
    return {text for text in known if Version(text) >= first}


def _provided(paths: _Paths, package: str, symbols: Sequence[_Symbol]) -> list[tuple[str, dict[_Symbol, bool]]]:
    """Return the symbols that each release provides, and whether only a use of its own shows it."""
    cache = Cache()
    result = []
    for text, path in paths:
        reader = Reader(path, package, cache)
        found = [symbol for symbol in symbols if reader.provides(*symbol)]
        result.append((text, {symbol: reader.is_only_used(*symbol) for symbol in found}))
    return result


def _required(key: _Key, files: Mapping[str, str], ordered: Mapping[str, tuple[str, ...]]) -> RequiredSymbol:
    return RequiredSymbol(
        package=key.package,
        module=key.need.module,
        symbol=key.need.symbol,
        file=files[max(files, key=Version)],
        releases=to_ranges(set(files), ordered[key.package]),
        door=key.door,
        is_attribute=key.need.is_use,
        when=dict(key.need.condition),
    )


def _refusal(key: _RefusalKey, files: Mapping[str, str], ordered: Mapping[str, tuple[str, ...]]) -> Refusal:
    return Refusal(
        package=key.package,
        when=dict(key.condition),
        file=files[max(files, key=Version)],
        releases=to_ranges(set(files), ordered[key.package]),
        door=key.door,
    )
