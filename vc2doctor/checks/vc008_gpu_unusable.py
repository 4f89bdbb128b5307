"""The installed torch cannot use a GPU of this machine.

There are three reasons: torch is a build for CPUs; the driver is older than the CUDA version of the build; or the build
has no kernels for this GPU, because the GPU is too new (sm_120 with a wheel for CUDA 12.4) or too old.

Why it matters: with a CPU build the training can only run on the CPU. Without kernels the first operation fails with
"no kernel image is available for execution on the device".

What to do: install a torch build for this GPU and this driver.
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
    gpus = accelerators(examination)
    for gpu in gpus:
        if gpu.support.usable is False:
            yield _unusable(examination, gpu)
    probe = examination.probe
    if probe is not None and probe.device_failure is not None:
        yield _finding(examination, f"torch cannot use {examination.plan.device}", (describe(probe.device_failure),))
    elif probe is not None and probe.device is not None and examination.plan.device == "auto":
        # `usable is False` is reported above, with its reason.
        unseen = [gpu for gpu in gpus if not gpu.seen_by_torch and gpu.support.usable is not False]
        if unseen:
            message = f"torch does not see {unseen[0].name}, which the driver lists"
            yield _finding(examination, message, (f"the probe ran on {probe.device.device}",))


def _unusable(examination: Examination, gpu: Accelerator) -> Finding:
    evidence = [f"torch {examination.versions['torch']}", gpu.description]
    if "kernel image" in gpu.support.reason:
        if build(examination).inferred:
            evidence.append("this list of architectures is inferred from the released wheels of that CUDA version")
        else:
            evidence.append("torch itself reports this list of architectures")
    message = f"the installed torch cannot use {gpu.name}: {gpu.support.reason}"
    severity = Severity.ERROR if gpu.decides else Severity.WARNING
    return _finding(examination, message, tuple(evidence), severity)


def _finding(
    examination: Examination, message: str, evidence: tuple[str, ...], severity: Severity = Severity.ERROR
) -> Finding:
    upgrade = commands.install(examination.environment.interpreter, ["torch"], "--upgrade")
    return Finding(
        id="VC008",
        of_machine=True,
        severity=severity,
        message=message,
        evidence=evidence,
        remedy=(
            "Install a torch build for this GPU and driver. Blackwell (sm_100, sm_120) needs CUDA 12.8 or newer;"
            " Maxwell, Pascal and Volta need CUDA 12.6. The linked page gives the command for each build."
        ),
        commands=(upgrade,),
        url=_URL,
    )
