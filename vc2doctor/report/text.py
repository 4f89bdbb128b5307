"""The report for people: one screen, calm when all is well."""

import math
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from vc2doctor.environment.model import LEANED_ON, STACK, Environment
from vc2doctor.findings import Finding, ProbeReport, Report, Severity
from vc2doctor.probe.outcome import RecipeOutcome

_MARKS = {"good": ("✓", "ok"), "bad": ("✗", "X"), "none": ("-", "-"), "warn": ("!", "!"), "note": ("·", ".")}
_STYLES = {"good": "green", "bad": "bold red", "none": "dim", "warn": "yellow", "note": "dim"}
_OF_SEVERITY = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "note"}
_FLOAT16 = 65504.0
_LABEL, _NARROWEST, _GIB = 14, 24, 1024**3


class Line(NamedTuple):
    """One line before wrapping: ``hang`` is the indent of its continuations; a command is never wrapped."""

    text: Text
    hang: int = 0
    is_command: bool = False


def show(report: Report, console: Console) -> None:
    """Print the report: wrapped on a terminal, one line a line elsewhere."""
    ascii_only = not console.encoding.lower().startswith("utf")
    for line in render(report, ascii_only=ascii_only):
        if line.is_command or not console.is_terminal:
            console.print(line.text, soft_wrap=True, highlight=False)
            continue
        # On a narrow terminal a deep indent would leave no room for words.
        hang = line.hang if console.width - line.hang >= _NARROWEST else 6
        indent = " " * hang
        first, *rest = line.text.wrap(console, max(_NARROWEST, console.width - hang))
        console.print(first, soft_wrap=True, highlight=False)
        for part in rest:
            console.print(Text(indent) + part, soft_wrap=True, highlight=False)


def render(report: Report, *, ascii_only: bool = False) -> Iterator[Line]:
    """Yield the report's lines."""
    marks = _Marks(ascii_only=ascii_only)
    plan = report.plan
    yield Line(Text(f"vc2doctor {report.doctor}: profile {plan.profile}, precision {plan.precision}", "bold"))
    yield Line(Text())
    yield from _environment(report.environment)
    if report.combination is not None:
        told = f"{report.combination.verdict.value}: {report.combination.ground}"
        yield _labelled("Combination", told)
    if report.probe is not None:
        yield Line(Text())
        yield from _probe(report.probe, plan.precision, marks)
    before: Finding | None = None
    for finding in report.findings:
        yield Line(Text())
        yield from _finding(finding, marks, before)
        before = finding
    yield Line(Text())
    yield _verdict(report, marks)


class _Marks:
    def __init__(self, *, ascii_only: bool) -> None:
        self._column = 1 if ascii_only else 0

    def __call__(self, kind: str) -> tuple[str, str]:
        return _MARKS[kind][self._column], _STYLES[kind]


def plain(text: str) -> str:
    """Return ``text`` without the control characters that a terminal would obey."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _labelled(label: str, text: str) -> Line:
    return Line(Text.assemble((f"  {label:<{_LABEL}}", "bold"), plain(text)), hang=_LABEL + 2)


def _environment(environment: Environment) -> Iterator[Line]:
    interpreter = environment.interpreter
    yield _labelled("Python", f"{interpreter.version} ({interpreter.kind}), {interpreter.path}")
    yield _labelled("Stack", _versions(environment, STACK))
    yield _labelled("Leaning on", _versions(environment, LEANED_ON))
    nvidia = environment.nvidia
    for gpu in nvidia.gpus:
        memory = f", {gpu.memory_total / _GIB:.0f} GiB" if gpu.memory_total else ""
        capability = f", compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else ""
        cuda = f", driver {nvidia.driver} (CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]})" if nvidia.cuda else ""
        yield _labelled(f"GPU {gpu.index}", f"{gpu.name}{' (MIG)' if gpu.mig else ''}{capability}{memory}{cuda}")
    if not nvidia.gpus:
        yield _labelled("GPU", nvidia.note or f"none visible (CUDA_VISIBLE_DEVICES={nvidia.visible})")
    cpu = environment.cpu
    bf16 = [flag for flag in cpu.flags if "bf16" in flag]
    yield _labelled("CPU", f"{cpu.model or 'unknown'}, {cpu.cores} cores, {' '.join(bf16) or 'no bf16 instructions'}")


def _versions(environment: Environment, names: tuple[str, ...]) -> str:
    found = {name: environment.distribution(name) for name in names}
    return ", ".join(f"{name} {made.version if made else '(missing)'}" for name, made in found.items())


def _probe(probe: ProbeReport, precision: str, marks: _Marks) -> Iterator[Line]:
    where = f" on {probe.device.name or probe.device.device}" if probe.device else ""
    yield Line(Text(plain(f"  Probe{where}: {probe.ending}, {probe.seconds:.1f} s"), "bold"))
    if probe.headroom is not None:
        tightest = probe.headroom.tightest
        bits = math.log2(_FLOAT16 / tightest.largest)
        told = (
            f"{bits:.1f} bits in the miniature: |x| up to {tightest.largest:.4g} in {tightest.module} ({tightest.op})"
        )
        yield _row(marks("note"), "float16 headroom", "", told)
    if probe.import_failure is not None:
        yield _row(marks("bad"), f"import {probe.import_package}", "error", probe.import_failure.message)
    for outcome in probe.recipes:
        yield _recipe(outcome, marks, decides=outcome.recipe == precision)
    adapter = probe.adapter
    if adapter is not None:
        kind = "good" if adapter.same and adapter.error is None else "bad"
        told = "the same model" if kind == "good" else (adapter.error.message if adapter.error else "another model")
        yield _row(marks(kind), "save, reload, generate", "", told)


def _recipe(outcome: RecipeOutcome, marks: _Marks, *, decides: bool) -> Line:
    kind = {"finite": "good", "unsupported": "none", None: "none", "weak": "warn"}.get(outcome.outcome, "bad")
    name = f"{outcome.recipe} (decides)" if decides else outcome.recipe
    told = f"{outcome.told}; {outcome.cause.told}" if outcome.cause else outcome.told
    return _row(marks(kind), name, outcome.outcome or "not measured", told)


def _row(mark: tuple[str, str], name: str, outcome: str, told: str) -> Line:
    start = f" {name:<23} {outcome:<12} "
    first = plain(told).replace("\n", " ")
    return Line(Text.assemble("    ", (f"{mark[0]:<2}", mark[1]), start, first), hang=6 + len(start))


def _finding(finding: Finding, marks: _Marks, before: Finding | None) -> Iterator[Line]:
    # A note is information: its evidence is in the JSON report.
    mark, style = marks(_OF_SEVERITY[finding.severity])
    head = f"{mark} {finding.id} {finding.severity.value}"
    yield Line(Text.assemble("  ", (head, style), "  ", (plain(finding.message), "bold")), hang=6)
    if finding.path is not None and finding.path not in finding.message:
        yield Line(Text(f"      at {plain(finding.path)}{f':{finding.line}' if finding.line else ''}"), hang=6)
    for evidence in () if finding.severity is Severity.NOTE else finding.evidence:
        for text in plain(evidence).splitlines():
            yield Line(Text(f"      {text}", "dim"), hang=6)
    if before is not None and (before.remedy, before.commands) == (finding.remedy, finding.commands):
        yield Line(Text("      The same change mends it."), hang=6)
    else:
        yield Line(Text(f"      {plain(finding.remedy)}"), hang=6)
        for command in finding.commands:
            yield Line(Text.assemble("        ", (plain(command), "cyan")), is_command=True)
    yield Line(Text(f"      {plain(finding.url)}", "dim"), is_command=True)


def _verdict(report: Report, marks: _Marks) -> Line:
    precision = report.plan.precision
    sentence, kind = {
        "fit": (f"Fit to train under {precision}.", "good"),
        "unfit": (f"Not fit to train under {precision}.", "bad"),
        "unproven": (f"No fault found, but nothing shows that it trains under {precision}.", "warn"),
        "incomplete": ("The examination could not be finished.", "warn"),
    }[report.verdict]
    counts = []
    for severity in reversed(Severity):
        number = sum(finding.severity is severity for finding in report.findings)
        if number:
            counts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    mark, style = marks(kind)
    tail = f" {', '.join(counts)}." if counts else ""
    return Line(Text.assemble((f"{mark} {sentence}", style), tail), hang=2)
