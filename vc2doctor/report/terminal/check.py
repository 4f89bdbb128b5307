"""The report for people: one screen, calm when all is well."""

from collections.abc import Iterator

from rich.text import Text

from vc2doctor.commands.report import Report
from vc2doctor.environment.model import COMPANION_PACKAGES, STACK_PACKAGES, Environment
from vc2doctor.findings import Finding, Severity
from vc2doctor.report.terminal import probe
from vc2doctor.report.terminal.lines import OF_SEVERITY, Line, Marks, counted, labelled, plain

_GIB = 1024**3


def render(report: Report, marks: Marks) -> Iterator[Line]:
    """Yield the report's lines."""
    plan = report.plan
    yield Line(Text(f"vc2doctor {report.doctor}: profile {plan.profile}, precision {plan.precision}", "bold"))
    if plan.code is not None:
        told = ", ".join(f"{entry} trains under {recipe}" for entry, recipe in plan.code_recipes.items())
        silenced = f"; {plan.code_silenced} findings silenced" if plan.code_silenced else ""
        yield labelled("Code", f"{plan.code}: {told or 'what it trains in cannot be told by reading'}{silenced}")
    for read in (plan.settings, plan.code_settings):
        if read is not None and read.applied:
            yield labelled("Settings", f"{read.file}: {', '.join(read.applied)}")
    yield Line(Text())
    yield from _environment(report.environment)
    if report.combination is not None:
        told = f"{report.combination.verdict.value}: {report.combination.reason}"
        yield labelled("Combination", told)
    if report.probe is not None:
        yield Line(Text())
        yield from probe.render(report.probe, plan, marks)
    before: Finding | None = None
    for finding in report.findings:
        yield Line(Text())
        yield from _finding(finding, marks, before)
        before = finding
    yield Line(Text())
    yield _verdict(report, marks)


def _environment(environment: Environment) -> Iterator[Line]:
    interpreter = environment.interpreter
    yield labelled("Python", f"{interpreter.version} ({interpreter.kind}), {interpreter.path}")
    yield labelled("Stack", _versions(environment, STACK_PACKAGES))
    yield labelled("Leaning on", _versions(environment, COMPANION_PACKAGES))
    nvidia = environment.nvidia
    for gpu in nvidia.gpus:
        memory = f", {gpu.memory_total / _GIB:.0f} GiB" if gpu.memory_total else ""
        capability = f", compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else ""
        cuda = f", driver {nvidia.driver} (CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]})" if nvidia.cuda else ""
        yield labelled(f"GPU {gpu.index}", f"{gpu.name}{' (MIG)' if gpu.mig else ''}{capability}{memory}{cuda}")
    if not nvidia.gpus:
        yield labelled("GPU", nvidia.note or f"none visible (CUDA_VISIBLE_DEVICES={nvidia.visible})")
    cpu = environment.cpu
    bf16 = [flag for flag in cpu.flags if "bf16" in flag]
    yield labelled("CPU", f"{cpu.model or 'unknown'}, {cpu.cores} cores, {' '.join(bf16) or 'no bf16 instructions'}")


def _versions(environment: Environment, names: tuple[str, ...]) -> str:
    found = {name: environment.distribution(name) for name in names}
    return ", ".join(f"{name} {made.version if made else '(missing)'}" for name, made in found.items())


def _finding(finding: Finding, marks: Marks, before: Finding | None) -> Iterator[Line]:
    # A note is information: its evidence is in the JSON report.
    mark, style = marks(OF_SEVERITY[finding.severity])
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


def _verdict(report: Report, marks: Marks) -> Line:
    precision = report.plan.precision
    sentence, kind = {
        "fit": (f"Fit to train under {precision}.", "good"),
        "unfit": (f"Not fit to train under {precision}.", "bad"),
        "measured": (f"Measured; nothing speaks against {precision}, and nothing was trained.", "good"),
        "unproven": (f"No fault found, but nothing shows that it trains under {precision}.", "warn"),
        "incomplete": ("The examination could not be finished.", "warn"),
    }[report.verdict]
    mark, style = marks(kind)
    tail = f" {counted(report.findings)}." if report.findings else ""
    return Line(Text.assemble((f"{mark} {sentence}", style), plain(_decided_by(report)), tail), hang=2)


def _decided_by(report: Report) -> str:
    """Return what a settings file decided of the verdict, so that no file changes it unseen."""
    settings = report.plan.settings
    chosen = settings.chose("profile", "precision") if settings else ()
    if settings is None or not chosen:
        return ""
    values = " and ".join(f"{key} {getattr(report.plan, key)}" for key in chosen)
    return f" {settings.file} sets {values}."
