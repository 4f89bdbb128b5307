"""The code uses a quantized or FP8 format that cannot be trained here, or that this machine cannot judge.

torchao, Transformer Engine, bitsandbytes, GPTQ and AWQ have many formats. Some train their weights, some train only
adapters on frozen weights, and some are made for inference and have no backward pass. Each format needs a release and,
mostly, a GPU: FP8 begins with compute capability 8.9, MXFP8 and NVFP4 with 10.0. The table of the formats, with their
sources, is ``vc2doctor/matrix/quantized_formats.py``.

Why it matters: a layer without a backward pass raises an exception, or it silently stops the gradient. Then the layers
before it never learn. A GPU that lacks the format raises an exception in the first step.

What to do: use a format that trains here. The report lists those of the installed packages.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.quantization import FormatReadiness, Readiness

_SEVERITIES = {
    Readiness.GPU_REFUSED: Severity.WARNING,
    Readiness.INFERENCE_ONLY: Severity.WARNING,
    Readiness.RELEASE_REFUSED: Severity.WARNING,
    Readiness.MISSING: Severity.NOTE,
    Readiness.UNSUPPORTED: Severity.NOTE,
}
"""None is an error: code may use a format in a branch that does not run here, or in a part that is not trained."""
_MESSAGES = {
    Readiness.GPU_REFUSED: "{name} does not run on this GPU",
    Readiness.INFERENCE_ONLY: "{name} cannot be trained: it has no backward pass",
    Readiness.RELEASE_REFUSED: "{package} {version} does not have {name}",
    Readiness.MISSING: "{name} is used, and {package} is not installed",
    Readiness.UNSUPPORTED: "{name} cannot be judged on this machine",
}
_OTHER = "Use a format that trains here, or train in bfloat16 with adapters."
_REMEDIES = {
    Readiness.GPU_REFUSED: f"Train on a GPU that has it. {_OTHER}",
    Readiness.INFERENCE_ONLY: f"Quantize for inference after the training. {_OTHER}",
    Readiness.RELEASE_REFUSED: "Install a release of {package} that has it.",
    Readiness.MISSING: "Install {package}, or remove the use.",
    Readiness.UNSUPPORTED: "Run the check on the machine that trains.",
}


def check(examination: Examination) -> Iterator[Finding]:
    """Find formats that the code or the precision uses, and that do not train here as far as is known."""
    for entry in examination.quantized:
        if entry.used and entry.readiness in _SEVERITIES:
            yield _finding(entry)


def _finding(entry: FormatReadiness) -> Finding:
    words = {"name": entry.name, "package": entry.package, "version": entry.version}
    return Finding(
        id="VC028",
        severity=_SEVERITIES[entry.readiness],
        message=_MESSAGES[entry.readiness].format(**words),
        evidence=(entry.reason,),
        remedy=_REMEDIES[entry.readiness].format(**words),
        url=entry.source,
        packages=(entry.package,),
    )
