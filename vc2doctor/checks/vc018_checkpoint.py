"""The checkpoint, or the user's own function, cannot be loaded in the target environment.

``vc2doctor probe --model PATH`` loads safetensors or GGUF with the installed transformers, offline, without running
code that came with the weights, and only where they fit into memory. What was raised is the evidence: an architecture
that this transformers does not know, a damaged file, a package that is missing, or a model that is too large here.
One that loads and fails in its forward pass is told here as well, where nothing is trained.
``--entry module:function`` imports the module in the target interpreter, with the current directory on its path.
"""

import shlex
from collections.abc import Iterator

from vc2doctor.checks.examination import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity


def check(examination: Examination) -> Iterator[Finding]:
    """Find what was named and not loaded."""
    plan, probe = examination.plan, examination.probe
    failure = probe.load_failure if probe else None
    what = "cannot be loaded"
    if failure is None and probe is not None and not plan.trains:
        # Nothing else would tell of it: no recipe runs the same code.
        failure, what = probe.headroom_failure, "was loaded, and its range cannot be measured"
    if failure is None:
        return
    option = f"--entry {plan.entry}" if plan.entry else f"--model {shlex.quote(plan.checkpoint or '')}"
    yield Finding(
        id="VC018",
        severity=Severity.ERROR,
        message=f"{plan.own} {what}",
        evidence=(describe(failure),),
        remedy="Mend what it names; for a model that is too large, use a machine with more memory.",
        commands=(f"vc2doctor probe {option}",),
        url="https://huggingface.co/docs/transformers/main_classes/model",
    )
