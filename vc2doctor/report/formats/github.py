"""Findings as annotations of GitHub Actions: workflow commands, for the standard output of a step.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vc2doctor.findings import Severity
from vc2doctor.report.formats import Format
from vc2doctor.report.results import Result, Results, of_check, of_lint

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.linter.model import LintReport

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def check(report: Report) -> str:
    """Return the verdict and the findings of an examination as workflow commands."""
    return _commands(of_check(report))


def lint(report: LintReport) -> str:
    """Return the verdict and the findings of the linter as workflow commands."""
    return _commands(of_lint(report))


def _commands(results: Results) -> str:
    # The verdict comes first: GitHub shows only ten annotations of a kind for each step.
    kind = "error" if results.exit_code else "notice"
    verdict = _command(kind, {"title": f"vc2doctor {results.verb}: {results.verdict}"}, results.sentence)
    return "".join(f"{line}\n" for line in (verdict, *map(_annotation, results.results)))


def _annotation(result: Result) -> str:
    properties: dict[str, str] = {}
    if result.place is not None:
        properties["file"] = result.place.path
        if result.place.line is not None:
            properties["line"] = str(result.place.line)
        if result.place.end_line is not None:
            properties["endLine"] = str(result.place.end_line)
    properties["title"] = f"{result.id} {result.severity.value}"
    commands = "\nor\n".join(result.commands)
    text = "\n".join(part for part in (result.message, *result.evidence, result.remedy, commands) if part)
    return _command(_COMMANDS[result.severity], properties, text)


def _command(name: str, properties: dict[str, str], text: str) -> str:
    shown = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{name} {shown}::{_escaped(text)}"


def _escaped(text: str) -> str:
    """Return a text that ends neither its command nor its line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


FORMAT = Format("github", (), {"check": check, "lint": lint})
