"""A way into the stack that people train through fails here.

Such a way is called a *door*: ``transformers.Trainer``, ``accelerate.Accelerator``, a trainer of trl, Lightning, and so
on. The probe imports every door whose packages are installed, and trains a tiny model for two steps through the doors
that matter: those of ``--door``, else those that the code uses, else ``transformers.Trainer``. A door that matters and
fails is an error. A door that cannot even be imported, and that nothing shows to matter, is a warning.

Some doors are tried only if the code uses them: prefix tuning, prompt tuning and p-tuning, gradient checkpointing under
adapters, accumulated gradients, the ``target_modules`` that the code names, and a trainer that resumes.

Why it matters: the plain loop can train in an environment in which ``from transformers import Trainer`` raises.

What to do: install the versions that the remedy names, then check again. If you do not use this door, name the ones
that you use with ``--door``.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.core.versions import ADAPTERS
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.door_table import DOORS
from vc2doctor.probe.doors import DoorOutcome
from vc2doctor.target import doors as ways

_URL = "https://huggingface.co/docs/transformers/main_classes/trainer"


def check(examination: Examination) -> Iterator[Finding]:
    """Find doors that fail, and doors that matter and could not be tried."""
    reported: set[str] = set()
    for outcome in examination.doors:
        if outcome.outcome == "failed" and (outcome.matters or outcome.description not in reported):
            reported.add(outcome.description)
            yield _failed(examination, outcome)
        elif outcome.doubt is not None:
            yield _doubtful(outcome)
        elif outcome.outcome == "unsupported" and outcome.matters:
            yield _not_tried(examination, outcome)


def _failed(examination: Examination, outcome: DoorOutcome) -> Finding:
    remedy, commands = _remedy(examination, outcome)
    evidence = outcome.description if outcome.error is None else describe(outcome.error)
    others = _same_failure(examination, outcome)
    # A warning is one line: the exception has to stand in it.
    description = outcome.description.partition(":")[0] if outcome.matters else outcome.description.rstrip(".")
    return Finding(
        id="VC022",
        severity=Severity.ERROR if outcome.matters else Severity.WARNING,
        message=f"{outcome.title} does not work here: {description}",
        evidence=(evidence, *others, *advice.matrix_evidence(examination)),
        remedy=remedy,
        commands=commands,
        url=_URL,
        path=outcome.error.file if outcome.error else None,
        line=outcome.error.line if outcome.error else None,
    )


def _remedy(examination: Examination, outcome: DoorOutcome) -> tuple[str, tuple[str, ...]]:
    if not outcome.matters:
        known = advice.change_for_door(examination, outcome.door)
        if known is not None:
            return known
    if ways.DOORS[outcome.door].advice:
        return ways.DOORS[outcome.door].advice, ()
    if outcome.error is None:
        return advice.change_versions(examination)
    packages = frozenset(DOORS[outcome.door].packages)
    if _asks_peft(ways.DOORS[outcome.door]):
        packages |= {ADAPTERS}
    return advice.install_what_fails(examination, outcome.error, caller=packages)


def _asks_peft(door: ways.Door) -> bool:
    """Return whether a door goes through a part of peft that few use: it calls what fails in transformers."""
    return door.only_if_used and door.needs_adapters


def _same_failure(examination: Examination, outcome: DoorOutcome) -> tuple[str, ...]:
    """Return a line that names the doors which fail in the same way, so that one cause gives one finding."""
    titles = [
        other.title
        for other in examination.doors
        if other.door != outcome.door and other.outcome == "failed" and other.description == outcome.description
    ]
    return (f"the same failure: {', '.join(titles)}",) if titles else ()


def _doubtful(outcome: DoorOutcome) -> Finding:
    return Finding(
        id="VC022",
        severity=Severity.WARNING,
        message=f"{outcome.title}: {outcome.doubt}",
        evidence=(outcome.description,),
        remedy=ways.DOORS[outcome.door].advice,
        url=_URL,
    )


def _not_tried(examination: Examination, outcome: DoorOutcome) -> Finding:
    if ways.DOORS[outcome.door].needs_architecture:
        message = f"{outcome.title} could not be tried on a small model"
        return Finding(
            id="VC022",
            severity=Severity.NOTE,
            message=message,
            evidence=(outcome.description,),
            remedy="Compare them with the names in model.named_modules() of your model.",
            url=_URL,
        )
    return Finding(
        id="VC022",
        severity=Severity.WARNING,
        message=f"{outcome.title} cannot be tried on this machine, so nothing shows that it works",
        evidence=(outcome.description,),
        remedy="Run this command on the machine that trains.",
        commands=(advice.on_a_gpu_again(examination),),
        url=_URL,
    )
