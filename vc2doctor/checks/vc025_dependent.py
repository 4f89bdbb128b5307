"""An installed package uses what the installed transformers, peft, trl or accelerate does not have.

Packages such as sentence-transformers, setfit or gliner build trainers of their own upon transformers. Their code is
read, and compared with the names, methods and signatures of the installed releases. Nothing of it is imported. It is an
error where your code imports the package and its import fails, or imports the class whose training fails.

Why it matters: the training stack itself can be fit while such a package fails at its import or in its first step.

What to do: run the command, or install a release of the package that was made for the installed versions. If you do not
use the package, nothing has to change.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.dependents import DependentConflict

_URL = "https://pypi.org/project/{}/#history"


def check(examination: Examination) -> Iterator[Finding]:
    """Find packages whose code does not fit the installed stack; of one package and one cause, the first place."""
    seen: set[tuple[str, str]] = set()
    for conflict in examination.dependents:
        key = conflict.distribution, conflict.package
        if key not in seen:
            seen.add(key)
            others = [each for each in examination.dependents if (each.distribution, each.package) == key]
            # What the code certainly meets comes first.
            conflict = min(others, key=lambda each: not each.is_met_by(examination.imported))  # noqa: PLW2901
            yield _finding(examination, conflict, len(others) - 1)


def _finding(examination: Examination, conflict: DependentConflict, others: int) -> Finding:
    change, commands = advice.change_to_meet(examination, conflict.package, conflict.works_with)
    package = f"{conflict.package} {conflict.installed}"
    is_met = conflict.is_met_by(examination.imported)
    what = "this package" if conflict.imported_by else conflict.owner
    met = (f"your code imports {what}",) if is_met else ()
    more = (f"and {others} more places",) if others else ()
    return Finding(
        id="VC025",
        severity=Severity.ERROR if is_met else Severity.WARNING,
        message=(
            f"{conflict.distribution} {conflict.version} does not work with {package}, which {conflict.description}"
        ),
        evidence=(f"read at {conflict.path}:{conflict.line}", *met, *more),
        remedy=f"{change} Or install a release of {conflict.distribution} that was made for {package}.",
        commands=commands,
        url=_URL.format(conflict.distribution),
        path=conflict.path,
        line=conflict.line,
        packages=(conflict.distribution, conflict.package),
    )
