"""Paths of DeepSpeed's file that name no file, where one with almost the same path exists."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from posixpath import normpath

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.run_settings import Setting

MIN_LIKENESS = 0.8
"""``difflib``'s likeness of two parts of a path: "train_configs" and "train_config" have 0.96."""
_URL = "https://huggingface.co/docs/transformers/deepspeed"


def engine_paths(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield the paths of DeepSpeed's file that differ by a few letters from that of an existing file."""
    names = sorted(config.name for config in facts.code.files.configs if config.kind == "json")
    seen: set[tuple[str, int]] = set()
    for run in facts.runs.of(unit):
        for setting in _unresolved(run):
            # A file without a precision is read, too, and is no configuration.
            is_there = any(f"/{name}".endswith(f"/{normpath(setting.value)}") for name in facts.code.files.texts)
            meant = _meant(setting.value, names) if not is_there else None
            if meant is not None and (setting.path, setting.line) not in seen:
                seen.add((setting.path, setting.line))
                yield build.at_line(
                    setting.path,
                    setting.line,
                    "VC106",
                    Severity.WARNING,
                    f"no file {setting.value} is here: DeepSpeed's settings, and the precision in them, are not found",
                    evidence=(f"{meant} is here",),
                    remedy=f"Write {meant}.",
                    url=_URL,
                    role="launch" if setting.text.startswith("--") else "config",
                )


def _unresolved(run: Run) -> Iterator[Setting[str]]:
    for settings in run.settings if run.engine is None else ():
        named = settings.engine
        if named is not None and named.value.endswith(".json") and not set("${}*<>~") & set(named.value):
            yield named


def _meant(path: str, names: list[str]) -> str | None:
    """Return the file whose path is the same but for a few letters in one part; ``None``: there is none, or several."""
    parts = normpath(path).lstrip("/").split("/")
    found = [name for name in names if _is_like(parts, name.split("/")[-len(parts) :])]
    return found[0] if len(found) == 1 and not path.startswith(("/", "..")) else None


def _is_like(parts: list[str], others: list[str]) -> bool:
    if len(parts) != len(others):
        return False
    different = [(one, other) for one, other in zip(parts, others, strict=True) if one != other]
    if len(different) != 1:
        return False
    one, other = different[0]
    # `zero2.json` and `zero3.json` are two files, and neither is a misspelling of the other.
    has_same_digits = re.findall(r"\d+", one) == re.findall(r"\d+", other)
    return has_same_digits and bool(get_close_matches(one, [other], cutoff=MIN_LIKENESS))
