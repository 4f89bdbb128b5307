"""What ``vc2doctor probe`` was asked, checked before anything is started."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vc2doctor.errors import DoctorError
from vc2doctor.probe.worker.recipes import RECIPES

_MOST_TEXTS, _LONGEST_FILE = 64, 16 * 1024 * 1024


class DataError(DoctorError):
    """A file of texts cannot be used."""


def probe(recipes: str, data: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a ``Request`` for the options of ``vc2doctor probe``.

    Raises:
        ValueError: the options contradict each other, or name what does not exist.
        DataError: the file of texts is wrong.
    """
    names = tuple(name.strip() for name in recipes.split(","))
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        message = f"--recipes: {', '.join(unknown)}: no such recipe; there are {', '.join(RECIPES)}"
        raise ValueError(message)
    _agree(data, options)
    checkpoint = options["checkpoint"]
    return {
        **options,
        "recipes": names,
        "checkpoint": checkpoint and checkpoint.resolve(),
        "texts": (*options["texts"], *(texts(data) if data else ())),
        "train": options["train"] or checkpoint is None,
    }


def texts(path: Path) -> tuple[str, ...]:
    """Return the texts of a file, at most 64: JSON Lines with a key ``text``, or one text a line.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > _LONGEST_FILE:
            message = f"{path}: larger than {_LONGEST_FILE // 1024**2} MiB; take a sample of it"
            raise DataError(message)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(message) from error
    found = tuple(_texts(path, lines))
    if not found:
        message = f"{path}: holds no text"
        raise DataError(message)
    return found[:_MOST_TEXTS]


def _texts(path: Path, lines: list[str]) -> Iterator[str]:
    is_json = path.suffix in (".jsonl", ".ndjson", ".json")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not is_json:
            yield line
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            message = f"{path}:{number}: not JSON: {error}"
            raise DataError(message) from error
        text = record.get("text") if isinstance(record, dict) else None
        if not isinstance(text, str):
            message = f"{path}:{number}: has no string under the key 'text'"
            raise DataError(message)
        yield text


def _agree(data: Path | None, options: Mapping[str, Any]) -> None:
    entry, checkpoint = options["entry"], options["checkpoint"]
    if entry is not None and checkpoint is not None:
        message = "--entry and --model are two subjects; give one of them"
        raise ValueError(message)
    if entry is not None and not all(entry.partition(":")):
        message = f"--entry: {entry!r} is not MODULE:FUNCTION, such as my_training:build"
        raise ValueError(message)
    if checkpoint is None and (data or options["texts"] or options["train"]):
        message = "--text, --data and --train are about a checkpoint; name it with --model"
        raise ValueError(message)
    if options["stress"] and (entry is not None or checkpoint is not None):
        message = "--stress plants outliers into the miniature; it goes with neither --entry nor --model"
        raise ValueError(message)
