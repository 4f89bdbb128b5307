"""There is a GPU, and the installed torch cannot use it.

A CPU build; a driver older than the build's CUDA; or a card whose kernels the build does not carry: newer (sm_120 on a
wheel of CUDA 12.4), or older than it still supports. The last shows as "no kernel image is available for execution on
the device" at the first operation.
"""

from collections.abc import Iterator

from vc2doctor.checks.accelerators import Accelerator, accelerators, build
from vc2doctor.checks.context import Examination
from vc2doctor.checks.symptoms import describe
from vc2doctor.findings import Finding, Severity
from vc2doctor.remedies import commands

_URL = "https://pytorch.org/get-started/locally/"


def check(examination: Examination) -> Iterator[Finding]:
    """Find GPUs that the installed torch cannot use."""
    if "torch" in examination.missing:
        return
    found = accelerators(examination)
    for accelerator in found:
        if accelerator.support.usable is False:
            yield _unusable(examination, accelerator)
    probe = examination.probe
    if probe is not None and probe.device_failure is not None:
        yield _finding(examination, f"torch cannot use {examination.plan.device}", (describe(probe.device_failure),))
    elif probe is not None and probe.device is not None and examination.plan.device == "auto":
        blind = [gpu for gpu in found if not gpu.seen_by_torch and gpu.support.usable is not False]
        if blind:
            message = f"torch does not see {blind[0].name}, which the driver lists"
            yield _finding(examination, message, (f"the probe ran on {probe.device.device}",))


def _unusable(examination: Examination, accelerator: Accelerator) -> Finding:
    made = build(examination)
    version = examination.versions["torch"]
    source = "inferred from the released wheels of that CUDA version" if made.inferred else "as torch itself says"
    evidence = [f"torch {version}", accelerator.description]
    if "kernel image" in accelerator.support.reason:
        evidence.append(f"the list of architectures is {source}")
    message = f"the installed torch cannot use {accelerator.name}: {accelerator.support.reason}"
    severity = Severity.ERROR if accelerator.decides else Severity.WARNING
    return _finding(examination, message, tuple(evidence), severity)


def _finding(
    examination: Examination, message: str, evidence: tuple[str, ...], severity: Severity = Severity.ERROR
) -> Finding:
    reinstall = commands.install(examination.environment.interpreter, ["torch"], "--upgrade")
    return Finding(
        id="VC008",
        severity=severity,
        message=message,
        evidence=evidence,
        remedy=(
            "Install a torch build for this GPU and driver: CUDA 12.8 or newer for Blackwell (sm_100, sm_120), 12.6 for"
            " Maxwell, Pascal and Volta; the page of the link gives the command for each build."
        ),
        commands=(reinstall,),
        url=_URL,
    )
