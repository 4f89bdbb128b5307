"""The packages that a verdict depends on, against what the matrix says of them."""

from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.commands.report import Report
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.findings import Severity
from vc2doctor.report.html.tones import TONE_OF_SEVERITY, Tone


class PackageRow(NamedTuple):
    """One package."""

    name: str
    installed: str
    tone: Tone
    status: str
    change: str
    """The version after the first command of the remedy; empty: it stays."""


def package_rows(report: Report) -> tuple[PackageRow, ...]:
    """Return the rows: the stack first, what it depends on, and then whatever else a finding or a remedy is about."""
    return tuple(_row(name, report) for name in _names(report))


def _names(report: Report) -> tuple[str, ...]:
    installed = {each.name for each in report.environment.distributions}
    companions = (name for name in COMPANION_PACKAGES if name in installed)
    named = (name for finding in report.findings for name in finding.packages)
    changed = (name for name, _ in _changes(report))
    return tuple(dict.fromkeys((*STACK_PACKAGES, *companions, *named, *changed)))


def _changes(report: Report) -> Iterator[tuple[str, str]]:
    first = report.version_plan.first if report.version_plan else None
    yield from first.changes.items() if first else ()


def _row(name: str, report: Report) -> PackageRow:
    distribution = report.environment.distribution(name)
    tone, status = _status(name, report, is_installed=distribution is not None)
    version = (distribution.version or "unknown version") if distribution else "not installed"
    return PackageRow(name, version, tone, status, dict(_changes(report)).get(name, ""))


def _status(name: str, report: Report, *, is_installed: bool) -> tuple[Tone, str]:
    findings = [finding for finding in report.findings if name in finding.packages]
    heavy = [finding for finding in findings if finding.severity is not Severity.NOTE]
    if heavy:
        ids = ", ".join(dict.fromkeys(finding.id for finding in heavy))
        return TONE_OF_SEVERITY[max((each.severity for each in heavy), key=lambda each: each.rank)], f"see {ids}"
    if not is_installed:
        return "none", "not installed"
    if name in report.matrix.newer:
        return "warn", "newer than the matrix"
    if name in report.not_judged.imported:
        return "warn", "not judged, and imported by the stack"
    if name in (*report.not_judged.common, *report.not_judged.others):
        return "none", "not judged"
    return "good", "no known conflict"
