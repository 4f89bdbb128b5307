"""The report on an examination, for people: one screen, and short if all is well."""

from collections.abc import Iterator

from rich.text import Text

from vc2doctor.commands.report import Report
from vc2doctor.core.precision import FLOAT16
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.core.wording import counted
from vc2doctor.environment.model import COMPANION_PACKAGES, Environment, Gpu, Nvidia
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.facts import Headroom
from vc2doctor.report.terminal import probe, remedy_trial
from vc2doctor.report.terminal.lines import (
    MARK_OF_SEVERITY,
    Line,
    Marks,
    command_line,
    counted_by_severity,
    labeled_line,
    printable,
    text_line,
)

_GIB = 1024**3


def render(report: Report, marks: Marks) -> Iterator[Line]:
    """Yield the lines of the report."""
    plan = report.plan
    yield Line(Text(f"vc2doctor {report.doctor}: profile {plan.profile}, precision {plan.precision}", "bold"))
    if plan.code is not None:
        yield labeled_line("Code", f"{plan.code}: {_code(report)}")
    for settings in (plan.settings, plan.code_settings):
        if settings is not None and settings.applied:
            yield labeled_line("Settings", f"{settings.file}: {', '.join(settings.applied)}")
    yield Line(Text())
    yield from _environment(report.environment)
    if report.combination is not None:
        yield labeled_line("Combination", f"{report.combination.verdict.value}: {report.combination.reason}")
    if report.probe is not None:
        yield Line(Text())
        yield from probe.render(report.probe, plan, marks)
    previous: Finding | None = None
    for finding in report.findings:
        yield Line(Text())
        yield from _finding(finding, marks, previous)
        previous = finding
    if report.remedy_trial is not None:
        yield Line(Text())
        yield from remedy_trial.render(report.remedy_trial, plan.precision)
    yield Line(Text())
    yield _verdict(report, marks)


def _code(report: Report) -> str:
    plan = report.plan
    recipes = ", ".join(f"{entry} trains under {recipe}" for entry, recipe in plan.code_recipes.items())
    silenced = f"; {counted(plan.code_silenced, 'finding')} silenced" if plan.code_silenced else ""
    return f"{recipes or 'its precision cannot be determined by reading it'}{silenced}"


def _environment(environment: Environment) -> Iterator[Line]:
    interpreter = environment.interpreter
    yield labeled_line("Python", f"{interpreter.version} ({interpreter.kind}), {interpreter.path}")
    yield labeled_line("Stack", _versions(environment, STACK_PACKAGES))
    yield labeled_line("Companions", _versions(environment, COMPANION_PACKAGES))
    nvidia = environment.nvidia
    for gpu in nvidia.gpus:
        yield labeled_line(f"GPU {gpu.index}", _gpu(gpu, nvidia))
    if not nvidia.gpus:
        yield labeled_line("GPU", nvidia.note or f"none visible (CUDA_VISIBLE_DEVICES={nvidia.visible})")
    cpu = environment.cpu
    bf16_flags = " ".join(flag for flag in cpu.flags if "bf16" in flag)
    model = cpu.model or "unknown model"
    yield labeled_line("CPU", f"{model}, {counted(cpu.cores, 'core')}, {bf16_flags or 'no bf16 instructions'}")


def _gpu(gpu: Gpu, nvidia: Nvidia) -> str:
    parts = [f"{gpu.name}{' (MIG)' if gpu.mig else ''}"]
    if gpu.capability:
        parts.append(f"compute capability {gpu.capability[0]}.{gpu.capability[1]}")
    if gpu.memory_total:
        parts.append(f"{gpu.memory_total / _GIB:.0f} GiB")
    if nvidia.cuda:
        parts.append(f"driver {nvidia.driver} (CUDA {nvidia.cuda[0]}.{nvidia.cuda[1]})")
    return ", ".join(parts)


def _versions(environment: Environment, names: tuple[str, ...]) -> str:
    distributions = {name: environment.distribution(name) for name in names}
    return ", ".join(
        f"{name} {distribution.version if distribution else '(missing)'}"
        for name, distribution in distributions.items()
    )


def _finding(finding: Finding, marks: Marks, previous: Finding | None) -> Iterator[Line]:
    mark, style = marks(MARK_OF_SEVERITY[finding.severity])
    head = f"{mark} {finding.id} {finding.severity.value}"
    yield Line(Text.assemble("  ", (head, style), "  ", (printable(finding.message), "bold")), hang=6)
    if finding.path is not None and finding.path not in finding.message:
        yield text_line(f"at {finding.path}{f':{finding.line}' if finding.line else ''}")
    # A note is for information, so its evidence is only in the JSON report.
    for evidence in () if finding.severity is Severity.NOTE else finding.evidence:
        for line in evidence.splitlines():
            yield text_line(line, "dim")
    if previous is not None and (previous.remedy, previous.commands) == (finding.remedy, finding.commands):
        yield text_line("Fixed by the remedy above.")
    else:
        yield text_line(finding.remedy)
        for command in finding.commands:
            yield command_line(command)
    yield Line(Text(f"      {printable(finding.url)}", "dim"), is_command=True)


def _verdict(report: Report, marks: Marks) -> Line:
    sentence, kind = _verdict_in_words(report)
    mark, style = marks(kind)
    counts = f" {counted_by_severity(report.findings)}." if report.findings else ""
    return Line(Text.assemble((f"{mark} {sentence}", style), printable(_settings_that_decided(report)), counts), hang=2)


def _verdict_in_words(report: Report) -> tuple[str, str]:
    """Return the sentence of the verdict and the kind of its mark."""
    precision = report.plan.precision
    if report.verdict == "fit":
        return f"Fit to train under {precision}.", "good"
    if report.verdict == "unfit":
        return f"Not fit to train under {precision}.", "bad"
    if report.verdict == "unproven":
        return f"No fault was found, but nothing shows that training under {precision} works.", "warn"
    if report.verdict == "incomplete":
        return "The examination could not be finished.", "warn"
    headroom = report.probe.headroom if report.probe else None
    return f"{_range(headroom) if headroom else 'No fault was measured.'} Training was not tested.", "good"


def _range(headroom: Headroom) -> str:
    tightest = headroom.tightest
    size = f"Largest value {tightest.largest:,.0f} of {FLOAT16:,.0f}"
    if tightest.bits < 0:
        # A note (VC019) if the precision that decides is not float16.
        return f"{size} ({tightest.bits:.1f} bits): float16 cannot hold these texts."
    return f"{size} ({tightest.bits:.1f} bits spare): float16 holds these texts."


def _settings_that_decided(report: Report) -> str:
    """Return the settings of a file that decided the verdict, so that no file changes it unnoticed."""
    settings = report.plan.settings
    keys = settings.chose("profile", "precision") if settings else ()
    if settings is None or not keys:
        return ""
    values = " and ".join(f"{key} {getattr(report.plan, key)}" for key in keys)
    return f" {settings.file} sets {values}."
