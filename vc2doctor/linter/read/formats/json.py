"""Reads JSON files, such as DeepSpeed's configuration, with the lines of their keys."""

import json
import re
from collections.abc import Iterator
from typing import Any

from vc2doctor.core import parsing
from vc2doctor.linter.read.config import MAX_DEPTH, PRECISION_WORDS, Config, ConfigEntry
from vc2doctor.linter.read.formats import FileFormat, Reading


def read_json(name: str, text: str) -> Config | None:
    """Return the settings of a JSON file.

    ``None``: it does not mention precision, is not an object, or cannot be parsed.
    """
    return parse_json(name, text) if PRECISION_WORDS.search(text) else None


def parse_json(name: str, text: str) -> Config | None:
    """Return the settings of a JSON file, whatever they are about; ``None``: it is not an object, or not JSON."""
    try:
        data = parsing.parse_json(text)
    except parsing.MalformedError:
        return None
    if not isinstance(data, dict):
        return None
    return Config(name, "json", tuple(_entries("", data, _KeyLines(text), 0)), read_by="engine")


MAX_MISSES = 100
"""Keys that are not found as they are written, such as ``"\\u0061"``. Each is looked for in all of the remaining text,
so the lines of later keys are not looked for any more."""


class _KeyLines:
    """Finds the line of each key, if keys are asked for in the order of the file. The json module reports no lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1
        self._misses = 0

    def line_of(self, key: str) -> int:
        if self._misses < MAX_MISSES:
            match = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(self._text, self._offset)
            if match is not None:
                self._line += self._text.count("\n", self._offset, match.start())
                self._offset = match.start()
            else:
                self._misses += 1
        return self._line


def _entries(prefix: str, data: dict[str, Any], lines: _KeyLines, depth: int) -> Iterator[ConfigEntry]:
    for key, value in data.items():
        line = lines.line_of(key)
        if isinstance(value, dict) and depth < MAX_DEPTH:
            yield from _entries(f"{prefix}{key}.", value, lines, depth + 1)
        elif not isinstance(value, dict | list):
            yield ConfigEntry(f"{prefix}{key}", value, line)


def _read(name: str, text: str) -> Reading:
    config = read_json(name, text)
    return Reading(configs=(config,)) if config is not None else Reading(error=_fault(text))


def _fault(text: str) -> str | None:
    """Return why a text that mentions precision is no JSON. One that does not begin like an object is data."""
    if not text.lstrip().startswith("{") or not PRECISION_WORDS.search(text):
        return None
    try:
        parsing.parse_json(text)
    except parsing.MalformedError as error:
        return f"it is not JSON that can be used: {error}"
    return None


FORMAT = FileFormat(suffixes=(".json",), read=_read)
