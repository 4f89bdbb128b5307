"""Settings do not count: their file was not chosen by you, or the name of their table is wrong.

The doctor reads ``[tool.vc2doctor]`` of the nearest pyproject.toml. It ignores keys there that choose what is run
(``python``, ``entry``, ``code``, ``device``), which matrix is used (``matrix``), or where the report is written
(``output``, ``format``), and keys that make a gate weaker (``probe = false``, ``baseline``, ``accept``,
entries of ``policy`` that lower or silence a finding, and all of ``lint`` for the code that a check reads).

Why it matters: the file may belong to a checkout that you have not reviewed. Its keys must not run code, and they must
not hide a fault.

A table whose name is nearly ``[tool.vc2doctor]`` is reported too: nothing reads it, so its settings do not count.

What to do: if you trust the file, pass it with ``--config FILE``, or pass ``--trust-settings``. You can also give the
values as options on the command line.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.settings import AppliedSettings


def check(examination: Examination) -> Iterator[Finding]:
    """Find settings that were ignored."""
    plan = examination.plan
    # The linter may have read the same file for the training code; it is reported once.
    by_file = {applied.file: applied for applied in (plan.settings, plan.code_settings) if applied is not None}
    for settings in by_file.values():
        if settings.misspelled:
            yield _misspelled(settings)
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


def _misspelled(settings: AppliedSettings) -> Finding:
    names = enumerated([f"[{name}]" for name in settings.misspelled])
    return Finding(
        id="VC021",
        severity=Severity.WARNING,
        message=f"nothing reads {names} of {settings.file}, so these settings do not count",
        evidence=("the file has no table [tool.vc2doctor], and this name is nearly the same",),
        remedy="Did you mean [tool.vc2doctor]? Correct the name.",
        url="https://packaging.python.org/en/latest/specifications/pyproject-toml/",
        path=settings.file,
    )
