"""Configurations and launches as facts: keys and flags with values and lines. Values are read, never computed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

PRECISION_WORDS = re.compile(
    r"fp16|bf16|float16|\bamp\b|use_amp|half|precision|grad_norm|clip|dtype|zero_optimization", re.IGNORECASE
)
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
    composed_from: str | None = None
    """The file that the key is in, if it is not the configuration's own."""

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
    """The format: ``python``, ``yaml``, ``json``, or that of a launcher."""
    entries: tuple[ConfigEntry, ...]
    defaults: tuple[str, ...] = ()
    """The files that Hydra composes this one from, in order: ``trainer/gpu``, ``base``, ``_self_``."""
    read_by: Literal["code", "engine"] = "code"
    """Who reads it: the code of the project, or an engine such as DeepSpeed, whose keys mean the same everywhere."""

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


class Flag(NamedTuple):
    """A flag of a command."""

    value: str | None
    """``None``: the flag has no value (``--fp16``)."""
    line: int

    @property
    def is_on(self) -> bool:
        """Whether a boolean flag is on: ``--fp16``, ``--fp16 True``."""
        return self.value is None or self.value.lower() in ("true", "1", "yes", "y", "t")

    @property
    def is_known(self) -> bool:
        """Whether the value can be read; that of a variable of the environment cannot."""
        return self.value is None or not any(mark in self.value for mark in "$`")


@dataclass(frozen=True, slots=True)
class Launch:
    """One command of a launch script that starts Python."""

    script: str
    """The path of the launch script, relative to the root."""
    line: int
    program: str
    """The Python file as the command names it."""
    config_paths: tuple[str, ...]
    """The configuration files as the command names them."""
    flags: Mapping[str, Flag] = field(default_factory=dict)
    """By name, with underscores: ``--bf16 True``, and overrides such as ``optimizer.max_grad_norm 5``."""
    launcher: str = "python"
    """What starts the program: ``accelerate``, ``deepspeed``, ``torchrun``, ``swift``."""
    starter: str = ""
    """The same as the command names it: ``.venv/bin/torchrun``."""
    launcher_flags: Mapping[str, Flag] = field(default_factory=dict)
    """Those of ``flags`` that stand before the program, and so are the launcher's own."""
    folder: str | None = None
    """The argument of the ``cd`` before the command, as it is written; ``None``: there is none."""
    is_documented: bool = False
    """Whether a document shows the command: people run it with changes, so its flags are some of several."""
    cut_line: int | None = None
    """The line of a comment that ends the command, although lines with flags follow; ``None``: there is none."""
    flags_written_at: Mapping[str, int] = field(default_factory=dict)
    """The first line of its script that has the flag, for flags that a variable brings to the command."""
    unresolved: tuple[str, ...] = ()
    """Its words with variables that only a run knows."""

    def turns_on(self, flag: str) -> bool:
        """Return whether the command has the flag, and it is on."""
        return flag in self.flags and self.flags[flag].is_on
