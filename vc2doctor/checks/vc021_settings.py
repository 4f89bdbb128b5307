"""A settings file that you did not choose sets keys that are allowed only in a file that you choose.

The doctor reads ``[tool.vc2doctor]`` of the nearest pyproject.toml. It ignores keys there that choose what is run
(``python``, ``entry``, ``code``, ``device``), which matrix is used (``matrix``), or where the report is written
(``output``, ``format``), and keys that make a gate weaker (``probe = false``, ``exclude``).

Why it matters: the file may belong to a checkout that you have not reviewed. Its keys must not run code, and they must
not hide a fault.

What to do: if you trust the file, pass it with ``--config FILE``, or pass ``--trust-settings``. You can also give the
values as options on the command line.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find settings that were ignored."""
    plan = examination.plan
    # The linter may have read the same file for the training code; it is reported once.
    by_file = {applied.file: applied for applied in (plan.settings, plan.code_settings) if applied is not None}
    for settings in by_file.values():
        if settings.ignored:
            yield Finding(
                id="VC021",
                severity=Severity.WARNING,
                message=f"settings in {settings.file} were ignored: {', '.join(settings.ignored)}",
                evidence=(
                    "the file was found in the working directory or above it",
                    "you did not name it, so it cannot choose what is run, what is written, or which matrix is used",
                ),
                remedy="If you trust this file, pass it with --config. Otherwise remove these keys, or use --isolated.",
                commands=(plan.invocation.again(("--config", settings.file), without=("--isolated",)),),
                url="https://packaging.python.org/en/latest/specifications/pyproject-toml/",
                path=settings.file,
            )
