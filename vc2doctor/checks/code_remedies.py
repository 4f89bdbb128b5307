"""The commands for findings in the code that other releases fix: sets that work with what is installed."""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.core.versions import contains
from vc2doctor.findings import Finding, WantedRelease


def with_commands(examination: Examination) -> Iterator[Finding]:
    """Yield the findings in the code; the remedy of one that another release fixes is a whole set of versions."""
    for finding in examination.code:
        wanted = finding.wanted
        is_known = wanted is not None and wanted.package in examination.versions
        is_changed = is_known and examination.environment.failure is None and not examination.missing
        yield _with_command(examination, finding, wanted) if wanted is not None and is_changed else finding


def _with_command(examination: Examination, finding: Finding, wanted: WantedRelease) -> Finding:
    change, commands = advice.change_to_meet_all(examination, {wanted.package: _specifier(examination, wanted)})
    if not commands:
        remedy = f"{wanted.instead}." if wanted.instead else f"Change the code. {change}"
        return finding.model_copy(update={"remedy": remedy})
    if wanted.instead:
        # The code is changed in one place, so no command is printed that changes the environment.
        remedy = f"{wanted.instead}. Or {change[0].lower()}{change[1:]}"
        return finding.model_copy(update={"remedy": remedy})
    return finding.model_copy(update={"remedy": f"{change} Or change the code.", "commands": commands})


def _specifier(examination: Examination, wanted: WantedRelease) -> str:
    """Return the releases that fix all findings about a package; if there are none, those for this one."""
    every = [each.wanted for each in examination.code if each.wanted is not None]
    joint = ",".join(
        dict.fromkeys(each.specifier for each in every if each.package == wanted.package and each.specifier)
    )
    releases = examination.question().releases(wanted.package)
    return joint if any(contains(joint, text) for text in releases) else wanted.specifier
