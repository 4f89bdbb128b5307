"""The probe did not come to its end.

It crashed by a signal, ran out of memory or time, ended without a word, flooded its pipe, or was interrupted. A crash
or want of memory is a fault of this environment, and training would meet it too. The others leave the examination
unfinished: exit code 3.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import ProbeRun

_URL = "https://docs.python.org/3/library/faulthandler.html"
_WORDS = 12


def check(examination: Examination) -> Iterator[Finding]:
    """Find that the probe did not finish."""
    probe = examination.probe
    if probe is None or probe.ending == "finished":
        return
    evidence = [f"it was {probe.stage} when it ended, after {probe.child.seconds:.1f} s"]
    for name, text in (("stderr", probe.child.errors), ("stdout", probe.child.output)):
        if text:
            evidence.append(f"its last words on {name}:\n" + "\n".join(text.splitlines()[-_WORDS:]))
    remedy, ways = _mend(examination, probe)
    yield Finding(
        id="VC011",
        severity=Severity.ERROR,
        message=f"the probe did not finish: {_told(probe)}",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=ways,
        url=_URL,
    )


def _told(probe: ProbeRun) -> str:
    child = probe.child
    how = child.signal or f"exit code {child.code}"
    return {
        "timeout": f"its time was up after {child.seconds:.0f} s",
        "signal": f"it died of {child.signal}",
        "out-of-memory": "the kernel killed it for want of memory",
        "exit": f"it ended early with exit code {child.code}",
        "silent": f"it said nothing and ended with {how}",
        "flood": "it flooded its pipe of events",
        "interrupted": "it was interrupted",
        "protocol": "its worker speaks another protocol",
    }[probe.ending]


def _mend(examination: Examination, probe: ProbeRun) -> tuple[str, tuple[str, ...]]:
    interpreter = examination.environment.interpreter.path
    if probe.ending == "timeout":
        return "Give it more time, if the machine is slow or busy.", ("vc2doctor check --timeout 900",)
    if probe.ending == "interrupted":
        return "Run it again.", ("vc2doctor check",)
    if probe.ending == "out-of-memory":
        return "Give the job more memory; the probe itself needs about 2 GB.", ("vc2doctor check --device cpu",)
    trial = f"{interpreter} -X faulthandler -c 'import torch, transformers, peft'"
    return "Look whether the packages can be imported at all; if not, install them anew.", (trial,)
