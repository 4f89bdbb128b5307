"""A configuration as facts: dotted keys, each with its value and line. Values are read, never computed."""

import re
from dataclasses import dataclass
from typing import Any

# A file with none of these words decides no precision, and need not be parsed.
PRECISION_WORDS = re.compile(r"fp16|bf16|float16|\bamp\b|use_amp|half|precision|grad_norm|clip|dtype", re.IGNORECASE)


class Unknown:
    """A value that only a run would tell."""

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


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file."""

    name: str
    kind: str
    """``python``, ``yaml`` or ``json``."""
    entries: tuple[ConfigEntry, ...]

    def find(self, key: str) -> ConfigEntry | None:
        """Return the entry of a dotted key, or the only one that ends in it."""
        exact = next((entry for entry in self.entries if entry.key == key), None)
        if exact is not None:
            return exact
        ending = [entry for entry in self.entries if entry.key.endswith(f".{key}")]
        return ending[0] if len(ending) == 1 else None

    def get(self, key: str) -> Any:  # noqa: ANN401 - as the file has it
        """Return the value of a key, ``UNKNOWN`` where there is none."""
        entry = self.find(key)
        return entry.value if entry else UNKNOWN


MAX_DEPTH = 12
"""Nesting of mappings that is read; what lies deeper is left out."""
