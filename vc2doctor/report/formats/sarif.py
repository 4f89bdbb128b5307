"""Findings in the Static Analysis Results Interchange Format (SARIF) 2.1.0, for code scanning.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vc2doctor.core.printing import escaped_json
from vc2doctor.findings import Severity
from vc2doctor.report.formats import Format
from vc2doctor.report.results import Change, Place, Result, Results, of_check, of_lint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vc2doctor.commands.report import Report
    from vc2doctor.linter.model import LintReport

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
"""What relative paths are relative to, as most tools call it: the root of the checkout."""
_ENVIRONMENT = Place("environment", text="the environment, which no line of the project asks for")
"""The location of a result without a place. GitHub refuses a whole file if one result has no location:
https://github.com/github/codeql-action/issues/2459"""
_MAX_DESCRIPTION = 1024
"""Characters of a description of a rule that GitHub shows."""
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_UNFINISHED = ("incomplete",)
"""Verdicts that say that the tool itself did not finish."""


def check(report: Report) -> str:
    """Return the findings of an examination as SARIF."""
    return _log(of_check(report))


def lint(report: LintReport) -> str:
    """Return the findings of the linter as SARIF, with fixes where it has safe ones."""
    return _log(of_lint(report))


def _log(results: Results) -> str:
    shown = (*results.results, *results.hidden)
    ids = sorted({result.id for result in shown})
    run = {
        "tool": {"driver": {"name": "vc2doctor", "version": results.doctor, "rules": _rules(ids, shown)}},
        "automationDetails": {"id": f"vc2doctor/{results.verb}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": results.verdict not in _UNFINISHED,
                "exitCode": results.exit_code,
                "exitCodeDescription": results.sentence,
            }
        ],
        "results": [_result(result, ids) for result in shown],
        "properties": {"verdict": results.verdict, "sentence": results.sentence},
    }
    text = json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)
    return escaped_json(text) + "\n"


def _rules(ids: Iterable[str], results: Iterable[Result]) -> list[dict[str, Any]]:
    from vc2doctor.commands.pages import pages  # noqa: PLC0415 - it imports every rule

    texts = pages()
    urls = {result.id: result.url for result in results}
    return [
        {
            "id": id_,
            "shortDescription": {"text": texts.get(id_, id_).partition("\n\n")[0].replace("\n", " ")},
            "fullDescription": {"text": texts.get(id_, id_)[:_MAX_DESCRIPTION]},
            "help": {"text": texts.get(id_, id_), "markdown": texts.get(id_, id_)},
            **({"helpUri": urls[id_]} if urls[id_].startswith("https://") else {}),
        }
        for id_ in ids
    ]


def _result(result: Result, ids: list[str]) -> dict[str, Any]:
    text = f"{result.message}. {result.remedy}" if result.remedy else result.message
    optional: dict[str, Any] = {
        "relatedLocations": [_location(place) for place in result.also],
        "fixes": [_fix(result)] if result.changes else [],
        "suppressions": [_suppression(result.justification)] if result.justification is not None else [],
    }
    return {
        "ruleId": result.id,
        "ruleIndex": ids.index(result.id),
        "level": _LEVELS[result.severity],
        "message": {"text": text},
        "locations": [_location(result.place or _ENVIRONMENT)],
        **{key: value for key, value in optional.items() if value},
        "partialFingerprints": {"vc2doctor/v1": result.fingerprint},
        "properties": {
            "evidence": result.evidence,
            "remedy": result.remedy,
            "commands": result.commands,
            "url": result.url,
            "diagnosis": result.diagnosis,
        },
    }


def _suppression(justification: str) -> dict[str, str]:
    """Return why a result does not count: the team decided so outside of the code."""
    return {"kind": "external", "status": "accepted", "justification": justification}


def _location(place: Place) -> dict[str, Any]:
    # GitHub needs a line, also for a finding about a file as a whole.
    line = max(place.line or 1, 1)
    region = {"startLine": line}
    if place.end_line is not None and place.end_line > line:
        region["endLine"] = place.end_line
    physical = {"artifactLocation": _artifact(place.path), "region": region}
    return {"physicalLocation": physical, **({"message": {"text": place.text}} if place.text else {})}


def _artifact(path: str) -> dict[str, str]:
    if path.startswith("/"):
        return {"uri": f"file://{_uri(path)}"}
    return {"uri": _uri(path), "uriBaseId": _ROOT}


def _uri(path: str) -> str:
    return quote(path, safe="/", errors="replace")


def _fix(result: Result) -> dict[str, Any]:
    by_path: dict[str, list[Change]] = {}
    for change in result.changes:
        by_path.setdefault(change.path, []).append(change)
    return {
        "description": {"text": result.remedy or result.message},
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": [_replacement(change) for change in changes]}
            for path, changes in by_path.items()
        ],
    }


def _replacement(change: Change) -> dict[str, Any]:
    return {
        "deletedRegion": {
            "startLine": change.line,
            "startColumn": change.column,
            "endLine": change.end_line,
            "endColumn": change.end_column,
        },
        "insertedContent": {"text": change.text},
    }


FORMAT = Format("sarif", (".sarif", ".sarif.json"), {"check": check, "lint": lint}, shows_fixes=True)
