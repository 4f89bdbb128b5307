"""A configuration as facts: dotted keys, each with its value and line. Values are read, never computed."""

import re
from dataclasses import dataclass
from typing import Any

PRECISION_WORDS = re.compile(r"fp16|bf16|float16|\bamp\b|use_amp|half|precision|grad_norm|clip|dtype", re.IGNORECASE)
"""A configuration without any of these words does not affect precision. It is not parsed."""

MAX_DEPTH = 12
"""Levels of nested mappings that are read. Deeper ones are left out, so that no file exhausts the stack."""


class Unknown:
    """A value that only a run can decide."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A key of a configuration, with its value and line."""

    key: str
    """Dotted from the top: ``optimizer.max_grad_norm``."""
    value: Any
    line: int

    @property
    def last_key(self) -> str:
        """The last part of the key: ``max_grad_norm``."""
        return self.key.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file."""

    name: str
    """The path of the file, relative to the root."""
    kind: str
    """``python``, ``yaml`` or ``json``."""
    entries: tuple[ConfigEntry, ...]

    def find(self, key: str) -> ConfigEntry | None:
        """Return the entry with this dotted key, else the only entry whose key ends in it, else ``None``."""
        exact = next((entry for entry in self.entries if entry.key == key), None)
        if exact is not None:
            return exact
        ending = [entry for entry in self.entries if entry.key.endswith(f".{key}")]
        return ending[0] if len(ending) == 1 else None

    def get(self, key: str) -> Any:  # noqa: ANN401 - as the file has it
        """Return the value of a key, or ``UNKNOWN`` if there is no such key."""
        entry = self.find(key)
        return entry.value if entry else UNKNOWN
