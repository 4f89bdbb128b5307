"""The checkpoint, or the user's own function, cannot be loaded in the target environment, or holds NaN or infinity.

``vc2doctor probe --model PATH`` loads safetensors or GGUF with the installed transformers, offline, without running
code that came with the weights, and only where they fit into memory. What was raised is the evidence: an architecture
that this transformers does not know, a damaged file, a package that is missing, or a model that is too large here.
A checkpoint that fails in its forward pass is reported here as well, where nothing is trained.

A checkpoint with a value that is not finite is damaged, whatever the precision: the report names the tensors, and how
many of their values are NaN or infinity. Save it again from the last good step.

``--entry module:function`` imports the module in the target interpreter, with the current directory on its path.
"""

import shlex
from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity

_URL = "https://huggingface.co/docs/transformers/main_classes/model"


def check(examination: Examination) -> Iterator[Finding]:
    """Find a subject that was not loaded, or that is not finite."""
    yield from _not_loaded(examination)
    yield from _not_finite(examination)


def _not_loaded(examination: Examination) -> Iterator[Finding]:
    plan, probe = examination.plan, examination.probe
    failure = probe.load_failure if probe else None
    what = "cannot be loaded"
    if failure is None and probe is not None and not plan.trains:
        # No recipe runs the same code, so this check is the only place to report it.
        failure, what = probe.headroom_failure, "was loaded, and its range cannot be measured"
    if failure is None:
        return
    yield Finding(
        id="VC018",
        severity=Severity.ERROR,
        message=f"{plan.custom_subject} {what}",
        evidence=(describe(failure),),
        remedy="Fix what the evidence names. If the model is too large, use a machine with more memory.",
        commands=(_again(examination),),
        url=_URL,
    )


def _not_finite(examination: Examination) -> Iterator[Finding]:
    plan, probe = examination.plan, examination.probe
    if probe is None or plan.checkpoint is None:
        return
    loaded, broken = probe.loaded, probe.range_broken
    if loaded is not None and loaded.non_finite_tensors:
        count = loaded.non_finite_tensors
        message = f"{plan.checkpoint} holds NaN or infinity in {count} tensor{'s' if count > 1 else ''}"
        evidence = [f"{each.tensor}: {each.values} of {each.of} values" for each in loaded.non_finite]
        if count > len(evidence):
            evidence.append(f"and {count - len(evidence)} more tensors")
    elif broken is not None:
        message = f"{plan.checkpoint}: the forward pass is not finite in float32"
        evidence = [f"the first result that is not finite is that of {broken.description}"]
    else:
        return
    yield Finding(
        id="VC018",
        severity=Severity.ERROR,
        message=message,
        evidence=tuple(evidence),
        remedy="Take the checkpoint of an earlier step, or download it again. No precision repairs these values.",
        commands=(_again(examination),),
        url=_URL,
    )


def _again(examination: Examination) -> str:
    plan = examination.plan
    option = f"--entry {shlex.quote(plan.entry)}" if plan.entry else f"--model {shlex.quote(plan.checkpoint or '')}"
    return f"vc2doctor probe {option}"
