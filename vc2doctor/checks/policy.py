"""What a team decides about findings: pure functions that raise, lower or silence them, each with a reason and an end.

The report lists every finding that was lowered or silenced, with the reason. An entry that has expired does not
count any more and is a finding itself (VC029).
"""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, StringConstraints, model_validator

from vc2doctor.core.data import Data
from vc2doctor.findings import Finding, Severity, WaivedFinding

EXPIRED = "VC029"
"""The finding on an entry that has expired. No entry can be about it."""
OFF = "off"
_CODE = re.compile(r"VC[0-9]{3}")
MAX_REASON_CHARACTERS = 500
"""Every report shows the reason of each entry."""

AnyFinding = TypeVar("AnyFinding", bound=Finding)


def _checked_code(code: str) -> str:
    if not _CODE.fullmatch(code):
        message = "must be the id of a check or of a rule, such as VC007"
        raise ValueError(message)
    if code == EXPIRED:
        message = f"{EXPIRED} says that an entry has expired, so no entry can be about it"
        raise ValueError(message)
    return code


def _checked_day(value: object) -> object:
    # pydantic would also take a number, as seconds since 1970, and a moment at midnight.
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(value)
    message = "must be a day such as 2026-12-31"
    raise ValueError(message)


Code = Annotated[str, AfterValidator(_checked_code)]
"""The id of a check or of a rule."""
Day = Annotated[date | None, BeforeValidator(_checked_day)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON_CHARACTERS)]


class PolicyEntry(Data):
    """``VC007 = { severity = "note", reason = "...", expires = 2026-12-31 }``."""

    severity: Literal["error", "warning", "note", "off"]
    """``off`` silences the finding."""
    reason: Reason
    expires: Day = None
    """The last day on which the entry counts."""

    @model_validator(mode="after")
    def _check_expiry(self) -> "PolicyEntry":
        if self.expires is None and not self.only_raises:
            message = 'an entry that is not "error" can make a gate weaker, so it needs a date: expires = 2026-12-31'
            raise ValueError(message)
        return self

    @property
    def only_raises(self) -> bool:
        """Whether the entry cannot make a gate weaker."""
        return self.severity == "error"


Entries = Mapping[Code, PolicyEntry]
"""``[tool.vc2doctor.policy]``."""


class Waiver(Data):
    """An entry of the policy on one day."""

    code: str
    severity: Literal["error", "warning", "note", "off"]
    reason: str
    expires: date | None = None
    is_expired: bool = False


def on(day: date, entries: Entries) -> tuple[Waiver, ...]:
    """Return the entries as they are on a day."""
    return tuple(
        Waiver(code=code, is_expired=entry.expires is not None and entry.expires < day, **entry.model_dump())
        for code, entry in entries.items()
    )


def apply(
    findings: Sequence[AnyFinding],
    fingerprints: Sequence[str],
    waivers: Iterable[Waiver],
    baseline: frozenset[str],
    file: str = "the baseline",
) -> tuple[tuple[AnyFinding, ...], tuple[WaivedFinding, ...]]:
    """Return the findings that remain, and what was decided about the others and about those that became lighter.

    ``fingerprints`` are those of ``findings``, in the same order. ``baseline`` holds the fingerprints of findings that
    were there before, and ``file`` is its name.
    """
    by_code = {waiver.code: waiver for waiver in waivers if not waiver.is_expired}
    kept: list[AnyFinding] = []
    waived: list[WaivedFinding] = []
    for finding, fingerprint in zip(findings, fingerprints, strict=True):
        if fingerprint in baseline and can_be_known(finding):
            hidden = _waived(finding, "baseline", "it is in the baseline")
            waived.append(hidden.model_copy(update={"baseline": file}))
            continue
        waiver = by_code.get(finding.id)
        changed = finding if waiver is None else _changed(finding, waiver)
        if changed is not None:
            kept.append(changed)
        if waiver is not None and (changed is None or changed.severity.rank < finding.severity.rank):
            waived.append(_waived(finding, waiver.severity, waiver.reason, waiver.expires))
    return by_severity(kept), tuple(waived)


def can_be_known(finding: Finding) -> bool:
    """Return whether a baseline can hold a finding: it says what a project has already, not what this machine lacks."""
    return finding.id != EXPIRED and not finding.of_machine


def by_severity(findings: Iterable[AnyFinding]) -> tuple[AnyFinding, ...]:
    """Return findings with the heaviest first; those of one severity stay in their order."""
    return tuple(sorted(findings, key=lambda finding: -finding.severity.rank))


def _changed(finding: AnyFinding, waiver: Waiver) -> AnyFinding | None:
    if waiver.severity == OFF:
        return None
    return finding.model_copy(update={"severity": Severity(waiver.severity)})


def _waived(finding: Finding, became: str, reason: str, expires: date | None = None) -> WaivedFinding:
    place = f"{finding.path}:{finding.line}" if finding.path and finding.line else finding.path
    return WaivedFinding(
        id=finding.id,
        message=finding.message,
        place=place,
        path=finding.path,
        line=finding.line,
        manifest=finding.manifest,
        url=finding.url,
        severity=finding.severity,
        became=became,
        reason=reason,
        expires=expires,
    )
