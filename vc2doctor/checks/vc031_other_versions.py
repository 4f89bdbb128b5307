"""The project asks for other versions than those that are installed.

Compares what the files of the project that install packages (requirements, lock files, pyproject.toml, setup.py,
conda) ask of torch, transformers, peft, accelerate, trl and bitsandbytes with what is installed. Files for people, such
as a README, do not count.

Why it matters: a project was written and measured with its own versions. The report that this tool began with was fixed
by them: peft and transformers of the project, and bfloat16. Newer releases change defaults without a word, for example
the dtype in which weights are loaded.

What to do: install what the project asks for, or change its files to what you train with. A set that the matrix calls
incompatible is not advised: then the files are to be corrected.
"""

from collections.abc import Iterator, Mapping

from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import AskedVersion
from vc2doctor.core.builds import without
from vc2doctor.core.versions import STACK_PACKAGES, contains, exact
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict
from vc2doctor.remedies import commands

_COMPARED = (*STACK_PACKAGES, "accelerate", "trl", "bitsandbytes")


def check(examination: Examination) -> Iterator[Finding]:
    """Find installed versions that the files of the project exclude."""
    differing = dict(_differing(examination))
    if examination.missing or not differing:
        return
    pairs = [f"{name}{each.specifier} ({examination.versions[name]} is installed)" for name, each in differing.items()]
    remedy, command = _remedy(examination, differing)
    yield Finding(
        id="VC031",
        # Training that was seen to work outweighs what the project was written with.
        severity=Severity.NOTE if examination.trained and examination.passed_all_doors else Severity.WARNING,
        message=f"the project asks for other versions: {enumerated(pairs)}",
        evidence=tuple(f"{each.location} asks for {name}{each.specifier}" for name, each in differing.items()),
        remedy=remedy,
        commands=command,
        url="https://pip.pypa.io/en/stable/user_guide/#requirements-files",
        packages=tuple(differing),
    )


def _differing(examination: Examination) -> Iterator[tuple[str, AskedVersion]]:
    for name in _COMPARED:
        asked, installed = examination.asked.get(name), examination.versions.get(name)
        # Builds are another question: a machine without CUDA has another one of the same release.
        if asked is not None and installed is not None and not contains(without(asked.specifier), installed):
            yield name, asked


def _remedy(examination: Examination, differing: Mapping[str, AskedVersion]) -> tuple[str, tuple[str, ...]]:
    """Return what to do, and the command for it unless the versions are known not to train together."""
    pins = {name: exact(without(each.specifier)) for name, each in differing.items()}
    changes = {name: version for name, version in pins.items() if version is not None}
    judgement = examination.question().judged(changes) if changes else None
    if judgement is not None and judgement.verdict is Verdict.INCOMPATIBLE:
        files = enumerated(sorted({each.location for each in differing.values()}))
        reason = judgement.reason.partition("; ")[0]
        return f"Do not install what it asks for: together these versions do not train ({reason}). Correct {files}.", ()
    wanted = [f"{name}{each.specifier}" for name, each in differing.items()]
    text = "Install what the project asks for, or change its files to the versions that you train with."
    return text, (commands.change(examination.environment, wanted),)
