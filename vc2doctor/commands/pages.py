"""The pages of ``vc2doctor explain``: checks, lint rules and causes."""

from vc2doctor import checks
from vc2doctor.linter import rules
from vc2doctor.probe import diagnose


def pages() -> dict[str, str]:
    """Return every page, by the id of its check, rule or cause."""
    return {**checks.pages(), **rules.pages(), **diagnose.pages()}
