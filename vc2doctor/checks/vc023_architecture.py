"""The model that your code names could not be trained with two layers, so a plain language model was trained instead.

The probe builds the architecture that the code names from the JSON of its configuration, with two small layers. It
never runs code that came with a model, and it downloads nothing.

Why it matters: a transformers that lacks the architecture cannot load the model either, and an architecture whose class
cannot be imported cannot be trained: both are errors. (A type that no release has is a warning: your code may register
it.) If the small model raises, your model may raise as well, so the verdict cannot be fit. If no small model can be
built, nothing is known about your model: the verdict is about a plain language model, and says so.

What to do: install a transformers that has the architecture. Or let the probe train your own model:
``vc2doctor probe --entry module:function``.
"""

from collections.abc import Iterator

from packaging.version import Version

from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Verdict, judge
from vc2doctor.probe.subject_facts import ArchitectureFailure
from vc2doctor.remedies import commands

_URL = "https://huggingface.co/docs/transformers/model_doc/auto"
_OWN_FUNCTION = "Or let the probe train your own model: write a function that returns it, and pass it with --entry."
_MESSAGES = {
    "own-code": "only code that comes with the model knows the architecture {}, and vc2doctor never runs such code",
    "import": "the class of {} cannot be imported",
    "shrink": "{} could not be built with two small layers",
    "forward": "{} with two small layers raises in float32",
}


def check(examination: Examination) -> Iterator[Finding]:
    """Find an architecture that is missing, or that could not be tried."""
    types = examination.plan.judged_as.model_types
    if not types or not examination.can_train:
        return
    failure = examination.architecture_failure
    installed = examination.versions["transformers"]
    lacks = examination.probe is None and examination.matrix.architectures.lacks(installed, types[0])
    if lacks or (failure is not None and failure.stage == "unknown"):
        yield _unknown(examination, types[0])
    elif failure is not None:
        yield _not_tried(examination, types[0], failure)


def _probe(examination: Examination) -> str:
    return examination.plan.invocation.other("probe", ("--entry", "module:function"))


def _unknown(examination: Examination, model_type: str) -> Finding:
    architectures, judged_as = examination.matrix.architectures, examination.plan.judged_as
    first = architectures.first_release(model_type)
    installed = examination.versions["transformers"]
    evidence = [f"the code names it: {judged_as.reason}"]
    if first is not None:
        evidence.append(f"the wheels of transformers have it from {first} on")
        remedy, install = _remedy(examination, first)
    else:
        evidence.append(f"no release that was read has it ({architectures.oldest} to {architectures.newest})")
        remedy, install = f"Check the model type, or let your code register it. {_OWN_FUNCTION}", (_probe(examination),)
    return Finding(
        id="VC023",
        # A type that no release has may be one that the user's own code registers.
        severity=Severity.ERROR if first is not None else Severity.WARNING,
        message=f"transformers {installed} has no architecture {model_type}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=install,
        url=_URL,
    )


def _remedy(examination: Examination, first: str) -> tuple[str, tuple[str, ...]]:
    """Return the oldest release of transformers that has the architecture and works with the other versions."""
    measured = {cell.transformers for cell in examination.matrix.verdicts.cells}
    for release in sorted((text for text in measured if Version(text) >= Version(first)), key=Version):
        versions = {**examination.combination.versions, "transformers": release}
        combination = examination.combination.model_copy(update={"versions": versions})
        judgement = judge(combination, examination.matrix, examination.plan.precision, examination.plan.doors)
        if judgement.verdict in (Verdict.VERIFIED, Verdict.COMPATIBLE):
            command = commands.install(examination.environment.interpreter, [f"transformers=={release}"])
            return f"Install transformers {release}: with the other versions it is {judgement.verdict.value}.", (
                command,
            )
    return f"Install transformers {first} or newer. With the other versions installed here, none is known to work.", ()


def _not_tried(examination: Examination, model_type: str, failure: ArchitectureFailure) -> Finding:
    is_error = failure.stage == "import"
    evidence = [f"the code names it: {examination.plan.judged_as.reason}"]
    if failure.stage != "own-code":
        evidence.append(describe(failure.error))
    evidence.append("the probe trained a plain language model instead")
    first = "Fix this import: loading the model raises the same exception. " if is_error else ""
    return Finding(
        id="VC023",
        severity=Severity.ERROR if is_error else Severity.WARNING,
        message=_MESSAGES[failure.stage].format(model_type),
        evidence=tuple(evidence),
        remedy=f"{first}{_OWN_FUNCTION}",
        commands=(_probe(examination),),
        url=_URL,
    )
