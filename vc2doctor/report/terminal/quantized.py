"""Quantized and FP8 formats of a report: what trains here, what has no backward pass, what cannot be judged."""

from collections.abc import Iterator, Sequence

from vc2doctor.core.wording import counted
from vc2doctor.matrix.quantization import FormatReadiness, Readiness
from vc2doctor.report.terminal.coverage import listed
from vc2doctor.report.terminal.folding import SEE_VERBOSE
from vc2doctor.report.terminal.lines import Line, labeled_line, text_line

_SENTENCES = {
    Readiness.TRAINS: "{formats} can be trained",
    Readiness.ADAPTERS: "adapters can be trained on {formats}, whose own weights stay frozen",
    Readiness.INFERENCE_ONLY: "{formats} cannot be trained, because there is no backward pass",
    Readiness.GPU_REFUSED: "{formats} cannot run on this GPU",
    Readiness.RELEASE_REFUSED: "{formats} cannot be used with this release",
    Readiness.MISSING: "the code uses {formats}, and no package for that is installed",
    Readiness.UNSUPPORTED: "{formats} cannot be judged without a GPU",
}
"""Clauses of the short line. The formats are counted, and their packages named."""
_WORDS = {
    Readiness.TRAINS: "trains",
    Readiness.ADAPTERS: "trains adapters only",
    Readiness.INFERENCE_ONLY: "inference only",
    Readiness.GPU_REFUSED: "not on this GPU",
    Readiness.RELEASE_REFUSED: "not in this release",
    Readiness.MISSING: "not installed",
    Readiness.UNSUPPORTED: "cannot be judged here",
}


def render(entries: Sequence[FormatReadiness], *, verbose: bool) -> Iterator[Line]:
    """Yield one line that says which formats of the installed packages train; or one for each, with its reason."""
    if not entries:
        return
    if not verbose:
        yield labeled_line("Quantized", f"{'; '.join(_groups(entries))}{SEE_VERBOSE}")
        return
    yield labeled_line("Quantized", "formats of the installed packages, and which of them train here:")
    for entry in entries:
        used = ", used here" if entry.used else ""
        yield text_line(f"{entry.name}: {_WORDS[entry.readiness]}{used}: {entry.reason} ({entry.source})")


def _groups(entries: Sequence[FormatReadiness]) -> Iterator[str]:
    for readiness, sentence in _SENTENCES.items():
        packages = dict.fromkeys(_named(entry) for entry in entries if entry.readiness is readiness)
        if packages:
            number = sum(entry.readiness is readiness for entry in entries)
            formats = f"{counted(number, 'quantized format')} of {listed(list(packages))}"
            yield sentence.format(formats=formats)


def _named(entry: FormatReadiness) -> str:
    return f"{entry.package} {entry.version}" if entry.version is not None else entry.package
