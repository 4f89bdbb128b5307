"""Settings of a JSON file, such as DeepSpeed's, with the lines of its keys."""

import json
import re
from collections.abc import Iterator
from typing import Any

from vc2doctor.linter.read.config import MAX_DEPTH, PRECISION_WORDS, Config, ConfigEntry


def of_json(name: str, text: str) -> Config | None:
    """Return the settings of a JSON file; ``None``: it is no object, or cannot be read."""
    if PRECISION_WORDS.search(text) is None:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return Config(name, "json", tuple(_json_entries("", data, _Lines(text), 0)))


class _Lines:
    """Finds the lines of keys in the order in which they come; json itself tells none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def of(self, key: str) -> int:
        found = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(self._text, self._at)
        if found is not None:
            self._line += self._text.count("\n", self._at, found.start())
            self._at = found.start()
        return self._line


def _json_entries(prefix: str, data: dict[str, Any], lines: _Lines, depth: int) -> Iterator[ConfigEntry]:
    for key, value in data.items():
        line = lines.of(key)
        if isinstance(value, dict) and depth < MAX_DEPTH:
            yield from _json_entries(f"{prefix}{key}.", value, lines, depth + 1)
        elif not isinstance(value, dict | list):
            yield ConfigEntry(f"{prefix}{key}", value, line)
