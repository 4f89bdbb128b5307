"""What is a decision in a frozen answer: pure functions from an answer of any version to comparable data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_SHOWN_LINES = 20_000

RENAMED: Mapping[str, str] = {
    "doing": "stage",
    "rubbish": "malformed_events",
    "fixed": "fix",
    "mend": "remedy",
    "ground": "reason",
    "doubt": "uncertainty",
    "depends": "possible_conflicts",
    "neighbours": "nearest_cells",
    "prescriptions": "remedies",
}
"""Keys of schema 1 → keys of schema 2, as docs/json.md lists them."""

DECISIONS = frozenset(
    {
        *("id", "severity", "path", "line", "end_line", "verdict", "exit_code", "recipe", "outcome"),
        *("unit", "fault", "is", "role", "constraint", "constraints", "issues", "cause", "also"),
        *("places", "findings", "diagnoses", "combination", "probe", "recipes", "plan", "profile", "precision"),
        *("silenced", "files", "edits", "diff", "refused_count"),
        *("fix", "commands", "cell", "cells", "written", "steps_taken", "steps_skipped", "package"),
    }
)
"""Keys whose values are compared; every other key holds a sentence, a time or a measurement."""


def of_file(path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return the decisions in a frozen file: JSON, JSON Lines, or text, which is compared whole."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return of(json.loads(text))
    if path.suffix == ".jsonl":
        return [of(json.loads(line)) for line in text.splitlines()]
    return text.splitlines()


def of(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the decisions in an answer, under their newest names."""
    if isinstance(value, list):
        return [of(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {RENAMED.get(key, key): part for key, part in value.items()}
    kept = {key: _without_words(key, of(part)) for key, part in found.items() if key in DECISIONS or key.isupper()}
    fix = found.get("fix")
    if isinstance(fix, dict):
        # A refusal's reasons are sentences; that there are reasons, and how many, is a decision.
        kept["fix"] = {**kept["fix"], "refused_count": len(fix.get("refused") or ())}
    return kept


def _without_words(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    # Places inside the doctor's own package move with its modules.
    if key == "path" and isinstance(value, str):
        return re.sub(r"^.*/vc2doctor/", "vc2doctor/", value)
    return value
