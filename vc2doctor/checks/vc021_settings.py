"""A settings file that was only found sets keys that count from the command line alone.

The doctor reads ``[tool.vc2doctor]`` of the nearest pyproject.toml. That file may come with a checkout that nobody has
reviewed, so it cannot choose what is run (``python``, ``entry``, ``code``, ``device``), what is believed (``matrix``),
where the report is written (``output``, ``format``), or make a gate weaker (``probe = false``, a weaker ``fail-on``,
``exclude``). Such keys were ignored.

Name the file with ``--config FILE``, or pass ``--trust-settings``, if you wrote it; or give the values as options.
"""

import shlex
from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find keys that were ignored."""
    plan = examination.plan
    files = {read.file: read for read in (plan.settings, plan.code_settings) if read is not None}
    for read in files.values():
        if read.ignored:
            yield Finding(
                id="VC021",
                severity=Severity.WARNING,
                message=f"{read.file} sets {', '.join(read.ignored)}, which was ignored",
                evidence=(
                    "the file was found in the working directory or above it, and not named on the command line",
                ),
                remedy="If you trust this file, name it; otherwise remove these keys, or pass --isolated.",
                commands=(f"vc2doctor check --config {shlex.quote(read.file)}",),
                url="https://packaging.python.org/en/latest/specifications/pyproject-toml/",
                path=read.file,
            )
