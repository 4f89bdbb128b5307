"""Judge quantized and FP8 formats by installed releases and GPUs: pure functions over the table of formats."""

from collections.abc import Mapping, Sequence
from enum import Enum

from vc2doctor.core.data import OwnData
from vc2doctor.core.versions import contains
from vc2doctor.matrix.quantized_formats import FORMATS, Capability, QuantizedFormat


class Readiness(str, Enum):
    """What a format can do in this environment, on this machine."""

    TRAINS = "trains"
    """Forward and backward, weights included."""
    ADAPTERS = "adapters"
    """The quantized weights stay frozen, and adapters on them train."""
    INFERENCE_ONLY = "inference-only"
    """It has no backward pass."""
    GPU_REFUSED = "gpu-refused"
    """The compute capability of the GPU is too low, or too new for the format."""
    RELEASE_REFUSED = "release-refused"
    """The installed release does not have it."""
    MISSING = "missing"
    """The code uses it, and none of its packages is installed."""
    UNSUPPORTED = "unsupported"
    """It needs a GPU, and none is known here: this machine cannot tell."""


class FormatReadiness(OwnData):
    """What was decided about one format, and why."""

    id: str
    name: str
    package: str
    """The installed distribution; the first possible one if none is installed."""
    version: str | None
    readiness: Readiness
    reason: str
    """One sentence without its end."""
    source: str
    used: bool = False
    """Whether the code or the chosen precision uses it."""


def readiness(
    versions: Mapping[str, str], capabilities: Sequence[Capability], used: frozenset[str]
) -> tuple[FormatReadiness, ...]:
    """Return what can be said of each format that is installed, or that is ``used``.

    ``versions`` are the installed ones by canonical name; ``capabilities`` are those of the GPUs that training would
    use, or empty if no NVIDIA GPU is known.
    """
    return tuple(
        _judged(form, versions, capabilities, used=form.id in used)
        for form in FORMATS
        if form.id in used or any(name in versions for name in form.packages)
    )


def _judged(
    form: QuantizedFormat, versions: Mapping[str, str], capabilities: Sequence[Capability], *, used: bool
) -> FormatReadiness:
    package = next((name for name in form.packages if name in versions), form.packages[0])
    version = versions.get(package)
    state = _state(form, version, capabilities)
    return FormatReadiness(
        id=form.id,
        name=form.name,
        package=package,
        version=version,
        readiness=state,
        reason=_reason(form, state, package, version, capabilities),
        source=form.source,
        used=used,
    )


def _state(form: QuantizedFormat, version: str | None, capabilities: Sequence[Capability]) -> Readiness:
    if version is None:
        return Readiness.MISSING
    if form.releases and not contains(form.releases, version):
        return Readiness.RELEASE_REFUSED
    if form.trains == "nothing":
        # Whatever the GPU: there is no backward pass to run.
        return Readiness.INFERENCE_ONLY
    if not capabilities:
        is_measured = form.on_cpu is not None and contains(form.on_cpu, version)
        if not is_measured:
            return Readiness.UNSUPPORTED
    elif not _fits(form, capabilities):
        return Readiness.GPU_REFUSED
    return Readiness.TRAINS if form.trains == "weights" else Readiness.ADAPTERS


def _fits(form: QuantizedFormat, capabilities: Sequence[Capability]) -> bool:
    lowest, highest = min(capabilities), max(capabilities)
    return (form.capability is None or lowest >= form.capability) and (form.below is None or highest < form.below)


def _reason(
    form: QuantizedFormat, state: Readiness, package: str, version: str | None, capabilities: Sequence[Capability]
) -> str:
    if state is Readiness.MISSING:
        return f"none of {', '.join(form.packages)} is installed"
    if state is Readiness.RELEASE_REFUSED:
        return f"{package} {version} is installed, and {form.name} needs {package}{form.releases}"
    if state is Readiness.GPU_REFUSED:
        found = ", ".join(_dotted(each) for each in sorted(set(capabilities)))
        return f"it needs {_needed(form)}, and the GPU here has {found}"
    if state is Readiness.UNSUPPORTED:
        return f"it needs {_needed(form)}, and no NVIDIA GPU is known here, so this machine cannot tell"
    return form.why


def _needed(form: QuantizedFormat) -> str:
    if form.capability is None:
        return "a GPU (no run without one was measured)"
    limit = f" and below {_dotted(form.below)}" if form.below is not None else ""
    return f"a GPU of compute capability {_dotted(form.capability)} or higher{limit}"


def _dotted(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"
