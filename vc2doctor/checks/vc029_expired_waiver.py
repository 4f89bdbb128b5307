"""An entry of the policy has expired, so it does not count any more.

``[tool.vc2doctor.policy]`` can raise, lower or silence a finding until a date. After that day the finding has its own
severity again.

Why it matters: a waiver is a promise to look again. Without an end, a fault that was accepted once is accepted for
good.

What to do: fix what the finding says and remove the entry, or decide again and write a new date and reason.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vc2doctor.checks.policy import Waiver
from vc2doctor.findings import Finding, Severity

if TYPE_CHECKING:
    from vc2doctor.checks.context import Examination  # the linter needs only the finding
    from vc2doctor.linter.settings import AppliedSettings


def check(examination: "Examination") -> Iterator[Finding]:
    """Find entries of the policy that have expired."""
    settings = examination.plan.settings
    for waiver in examination.plan.waivers:
        if waiver.is_expired:
            yield finding(waiver, settings)


def finding(waiver: Waiver, settings: "AppliedSettings | None") -> Finding:
    """Return the finding on an entry of the policy in ``settings`` that has expired."""
    effect = "silenced it" if waiver.severity == "off" else f"made it {waiver.severity}"
    return Finding(
        id="VC029",
        severity=Severity.WARNING,
        message=f"the policy on {waiver.code} expired on {waiver.expires}",
        evidence=(f"it {effect}, because: {waiver.reason}", f"{waiver.code} has its own severity again"),
        remedy=f"Fix what {waiver.code} says and remove the entry, or write a new date and reason.",
        url="https://packaging.python.org/en/latest/specifications/pyproject-toml/",
        path=settings.file if settings is not None else None,
        line=settings.policy_lines.get(waiver.code) if settings is not None else None,
    )
