"""How the page marks what is good and what is bad: by a color, and always by a sign as well."""

from typing import Literal

from vc2doctor.findings import Severity

Tone = Literal["good", "bad", "warn", "note", "none"]

SIGNS: dict[Tone, str] = {"good": "✓", "bad": "✗", "warn": "!", "note": "·", "none": "–"}  # noqa: RUF001 - a dash is meant

TONE_OF_SEVERITY: dict[Severity, Tone] = {
    Severity.ERROR: "bad",
    Severity.WARNING: "warn",
    Severity.NOTE: "note",
}
