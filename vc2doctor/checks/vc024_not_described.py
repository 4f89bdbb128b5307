"""The target's Python did not say what is installed.

The doctor starts the interpreter once and lets it list its packages. This one hung, crashed, ended early, or gave an
answer that cannot be read. So nothing about the environment is known, and the exit code is 3.

Why it matters: training starts the same interpreter, and most likely fails in the same way.

What to do: start the interpreter by hand with the command of the finding, which shows what it does at its start. Code
that runs at every start is in ``sitecustomize.py``, ``usercustomize.py`` and in the ``.pth`` files of site-packages. If
it is only slow, allow more time with ``--timeout``.
"""

import shlex
from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.environment.model import ObservationFailure
from vc2doctor.findings import Finding, Severity

_SITE = "It starts without its site-packages (-S), so sitecustomize or a .pth file there causes this."


def check(examination: Examination) -> Iterator[Finding]:
    """Report that the interpreter did not describe its environment."""
    failure = examination.environment.failure
    if failure is None:
        return
    python = examination.environment.interpreter.path
    evidence = [f"the doctor started {python} to list the installed packages; it ran {failure.seconds:.1f} s"]
    if failure.output:
        evidence.append("the end of its output:\n" + "\n".join(failure.output))
    yield Finding(
        id="VC024",
        of_machine=True,
        severity=Severity.ERROR,
        message=f"this Python did not say what is installed: {failure.in_words}",
        evidence=tuple(evidence),
        remedy=_remedy(failure),
        commands=(f"{shlex.quote(python)} -X faulthandler -X importtime -c pass",),
        url="https://docs.python.org/3/library/site.html",
    )


def _remedy(failure: ObservationFailure) -> str:
    reason = f" {_SITE}" if failure.starts_without_site else ""
    slow = " If it is only slow, allow more time with --timeout." if failure.ending == "timeout" else ""
    return f"Start it by hand and see what it imports first.{reason}{slow}"
