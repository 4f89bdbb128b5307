"""The training code imports a name that the installed packages do not have.

The probe imports, in your environment, each name that the programs import from torch, transformers, peft, trl,
accelerate or bitsandbytes, and from datasets, diffusers, evaluate, huggingface_hub, sentence_transformers, setfit or
tokenizers. A package that is not installed is left out, and so are imports under a condition, in a function or in a
``try``: a run may not need them. What VC117 has reported is not repeated.

Why it matters: the script fails at this line, before its first step.

What to do: correct the name, or install the release that has it.
"""

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import MissingName

_RULE = "VC117"


def check(examination: Examination) -> Iterator[Finding]:
    """Find names of the user's code that cannot be imported."""
    names = examination.probe.names if examination.probe is not None else None
    if names is None:
        return
    reported = {(finding.path, finding.line) for finding in examination.code if finding.id == _RULE}
    for missing in names.missing:
        places = [each for each in examination.imports if (each.module, each.name) == (missing.module, missing.name)]
        if not places or any((place.path, place.line) in reported for place in places):
            continue
        remedy, commands = _remedy(examination, missing)
        yield Finding(
            id="VC030",
            severity=Severity.ERROR,
            message=f"from {missing.module} import {missing.name} fails: {_what(examination, missing)}",
            evidence=(describe(missing.error), *(f"also at {place.path}:{place.line}" for place in places[1:])),
            remedy=remedy,
            commands=commands,
            url="https://docs.python.org/3/library/exceptions.html#ImportError",
            path=places[0].path,
            line=places[0].line,
            packages=(canonicalize_name(missing.module.partition(".")[0]),),
        )


def _what(examination: Examination, missing: MissingName) -> str:
    package = missing.module.partition(".")[0]
    release = examination.versions.get(canonicalize_name(package))
    installed = f"{package} {release}" if release else package
    if _is_unknown(missing):
        return f"{installed} has no such name"
    return f"{installed} cannot provide it"


def _is_unknown(missing: MissingName) -> bool:
    """Return whether the module is there and the name is not."""
    lacking = missing.error.missing
    return lacking is not None and lacking.symbol == missing.name


def _remedy(examination: Examination, missing: MissingName) -> tuple[str, tuple[str, ...]]:
    if not _is_unknown(missing):
        return advice.install_what_fails(examination, missing.error)
    package = missing.module.partition(".")[0]
    if missing.near:
        return f"Did you mean {enumerated(missing.near, conjunction='or')}?", ()
    return f"Correct the name, or install the release of {package} that has it.", ()
