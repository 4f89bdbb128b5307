"""The integrations that were shown or written, as text."""

from collections.abc import Iterator

from vc2doctor.commands.init import InitReport, Proposal
from vc2doctor.core import shell


def init_as_text(report: InitReport, *, write: bool) -> str:
    """Return the report as text; files are shown as a whole unless they were written."""
    return "\n".join(_lines(report, write=write)) + "\n"


def _lines(report: InitReport, *, write: bool) -> Iterator[str]:
    if not report.proposals:
        yield "vc2doctor found no system in this project that it has an integration for. Name one of these:"
        yield from (f"  {name:<14}{purpose}" for name, purpose in report.available.items())
        return
    for proposal in report.proposals:
        yield from _proposal(proposal)
    if write:
        return
    if all(proposal.exists for proposal in report.proposals):
        yield "The project has all of these files, so there is nothing to write."
        return
    names = shell.join(["vc2doctor", "init", *report.names, "--write"])
    yield f"Nothing was written. To write the files that do not exist yet: {names}"


def _proposal(proposal: Proposal) -> Iterator[str]:
    reason = "you named it" if proposal.sign is None else f"the project has {proposal.sign}"
    yield f"{proposal.path}: {proposal.purpose} ({proposal.name}: {reason})"
    if proposal.is_written:
        yield "  written"
        return
    if proposal.is_identical:
        yield "  already there, identical"
        return
    if proposal.exists:
        yield "  The project has this file, and it is not overwritten. Add what you need of the following by hand."
    if proposal.tested == "validated":
        yield "  The tests of vc2doctor only validate this file; they do not execute it."
    yield ""
    yield from (f"    {line}".rstrip() for line in proposal.text.splitlines())
    yield ""
