"""Findings as a code quality report of GitLab, which a merge request shows.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vc2doctor.core.printing import escaped_json
from vc2doctor.findings import Severity
from vc2doctor.report.formats import Format
from vc2doctor.report.results import Result, Results, of_check, of_lint

if TYPE_CHECKING:
    from vc2doctor.commands.report import Report
    from vc2doctor.linter.model import LintReport

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTE: "info"}
_NO_FILE = "."
"""The path of a finding about the environment that no line of the project asks for: GitLab drops one without a path."""


def check(report: Report) -> str:
    """Return the findings of an examination for GitLab."""
    return _report(of_check(report))


def lint(report: LintReport) -> str:
    """Return the findings of the linter for GitLab."""
    return _report(of_lint(report))


def _report(results: Results) -> str:
    issues = [_issue(result) for result in results.results]
    return escaped_json(json.dumps(issues, indent=2, ensure_ascii=False)) + "\n"


def _issue(result: Result) -> dict[str, Any]:
    lines: dict[str, int] = {"begin": (result.place.line if result.place is not None else None) or 1}
    if result.place is not None and result.place.end_line is not None:
        lines["end"] = result.place.end_line
    return {
        "description": f"{result.id}: {result.message}. {result.remedy}".strip(),
        "check_name": result.id,
        "fingerprint": result.fingerprint,
        "severity": _SEVERITIES[result.severity],
        "location": {"path": result.place.path if result.place is not None else _NO_FILE, "lines": lines},
    }


FORMAT = Format("gitlab", ("gl-code-quality-report.json",), {"check": check, "lint": lint})
