"""Applies a policy and a baseline to findings: of ``check``, of ``gate`` and of ``lint``."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from vc2doctor.checks import policy
from vc2doctor.checks.policy import AnyFinding, Entries, Waiver
from vc2doctor.commands import baseline
from vc2doctor.core.data import OwnData
from vc2doctor.core.errors import DoctorError
from vc2doctor.findings import Severity, WaivedFinding


class DecisionError(DoctorError):
    """The options about a baseline contradict each other."""


class Judge(OwnData):
    """What decides about findings."""

    waivers: tuple[Waiver, ...] = ()
    known: frozenset[str] = frozenset()
    """The fingerprints of the baseline."""
    file: Path | None = None
    """The baseline that is written; ``None``: none is."""
    name: str = "the baseline"
    """The name of the file that ``known`` is from."""

    def decide(
        self, findings: Sequence[AnyFinding], fingerprints: Sequence[str]
    ) -> tuple[tuple[AnyFinding, ...], tuple[WaivedFinding, ...]]:
        """Return the findings that remain, and what was waived; write the baseline if that was asked for.

        Raises:
            OutputError: the baseline cannot be written.
        """
        known = self.known
        if self.file is not None:
            pairs = zip(findings, fingerprints, strict=True)
            new = [pair for pair in pairs if pair[0].severity is not Severity.NOTE and policy.can_be_known(pair[0])]
            written = baseline.write(self.file, [finding for finding, _ in new], [name for _, name in new])
            known = written.fingerprints
        return policy.apply(findings, fingerprints, self.waivers, known, self.name)


def today(entries: Entries) -> tuple[Waiver, ...]:
    """Return the entries of a policy as they are today, on the day of the user."""
    return policy.on(date.today(), entries)  # noqa: DTZ011 - the day of the user


def judge(entries: Entries, file: Path | None, *, update: bool) -> Judge:
    """Return what decides about findings; ``file`` is the baseline, which is written with ``update``.

    Raises:
        BaselineError: the baseline cannot be read, or writing it would overwrite another file.
        DecisionError: there is no file to update.
    """
    if update and file is None:
        message = "--update-baseline writes the file of --baseline. Name it."
        raise DecisionError(message)
    waivers = today(entries)
    if file is None:
        return Judge(waivers=waivers)
    if update:
        baseline.check_replaceable(file)
        return Judge(waivers=waivers, file=file, name=file.name)
    return Judge(waivers=waivers, known=baseline.read(file).fingerprints, name=file.name)
