"""The probe did not finish.

The probe is a child process in the target environment. It can crash, run out of memory or time, end early, write too
many events, or be interrupted.

Why it matters: a crash or a lack of memory is a fault of this environment, and the training would have it, too. In the
other cases the examination is incomplete, and the exit code is 3.

What to do: see the last output of the probe in the evidence. Try whether the packages can be imported, and allow more
time or memory if that ran out.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.core import shell
from vc2doctor.core.wording import counted
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.duration import finished_rounds, seconds_needed
from vc2doctor.probe.facts import ProbeRun

_URL = "https://docs.python.org/3/library/faulthandler.html"
_MAX_QUOTED_LINES = 12
"""Enough for the end of a traceback or of a stack dump."""


def check(examination: Examination) -> Iterator[Finding]:
    """Report that the probe did not finish."""
    probe = examination.probe
    if probe is None or probe.ending == "finished":
        return
    evidence = [f"the probe was {probe.stage} when it ended, after {probe.child.seconds:.1f} s"]
    for stream, text in (("stderr", probe.child.errors), ("stdout", probe.child.output)):
        if text:
            last_lines = "\n".join(text.splitlines()[-_MAX_QUOTED_LINES:])
            evidence.append(f"the end of its {stream}:\n{last_lines}")
    if probe.ending == "timeout" and probe.rounds_planned:
        done = finished_rounds(probe)
        evidence.insert(1, f"it had finished {done} of {counted(probe.rounds_planned, 'round')} of training")
    remedy, command = _remedy(examination, probe)
    yield Finding(
        id="VC011",
        of_machine=True,
        severity=Severity.ERROR,
        message=f"the probe did not finish: {_ending_in_words(probe)}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=(command,),
        url=_URL,
    )


def _ending_in_words(probe: ProbeRun) -> str:
    child = probe.child
    return {
        "timeout": f"it reached its time limit after {child.seconds:.0f} s",
        "signal": f"it was killed by {child.signal}",
        "out-of-memory": "the kernel killed it because memory ran out",
        "exit": f"it ended early with exit code {child.code}",
        "silent": f"it reported nothing and ended with {child.signal or f'exit code {child.code}'}",
        "flood": "it wrote more events than the doctor accepts",
        "interrupted": "it was interrupted",
        "protocol": "its worker uses another version of the protocol",
    }[probe.ending]


def _remedy(examination: Examination, probe: ProbeRun) -> tuple[str, str]:
    invocation = examination.plan.invocation
    if probe.ending == "timeout":
        seconds = seconds_needed(probe)
        basis = "The estimate is from the rounds that were finished" if finished_rounds(probe) else "This is a guess"
        remedy = f"Allow {seconds} s. {basis}; the time also depends on how busy the machine is."
        return remedy, invocation.again(("--timeout", str(seconds)))
    if probe.ending == "interrupted":
        return "Run the examination again.", invocation.again()
    if probe.ending == "out-of-memory":
        return "Give the job more memory, then run it again. The probe itself needs about 2 GB.", invocation.again()
    python = examination.environment.interpreter.path
    import_test = f"{shell.quote(python)} -X faulthandler -c 'import torch, transformers, peft'"
    return "Try whether the packages can be imported. If not, reinstall them.", import_test
