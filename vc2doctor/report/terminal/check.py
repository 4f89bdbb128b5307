"""The report on an examination, for people: one screen, and short if all is well."""

from collections.abc import Iterator, Sequence

from vc2doctor.checks.answer import Answer, answer
from vc2doctor.checks.plan import Plan
from vc2doctor.commands.report import Report
from vc2doctor.core import shell
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.core.wording import counted
from vc2doctor.environment.model import COMPANION_PACKAGES, Environment, Gpu, Nvidia
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.judge import Judgement
from vc2doctor.report.terminal import code, coverage, gate, kept, probe, quantized, remedy_trial, waived
from vc2doctor.report.terminal.findings import FindingPrinter
from vc2doctor.report.terminal.lines import Line, Marks, command_line, labeled_line, text_line
from vc2doctor.report.terminal.recipes import detail_of
from vc2doctor.report.terminal.styled import Text
from vc2doctor.report.terminal.verdict import verdict_line

MAX_TO_DO = 3
"""Lines below the verdict that say what to do."""
_GIB = 1024**3


def render(report: Report, marks: Marks, *, verbose: bool = False) -> Iterator[Line]:
    """Yield the lines of the report: the verdict, the one command to run, why, and then the rest."""
    decision = answer(report.verdict, report.findings, report.exit_code, report.plan)
    printer = FindingPrinter(marks)
    yield verdict_line(report, marks)
    yield from kept.render(report)
    yield from waived.render(report.waived)
    yield from _to_do(report, decision)
    if decision.finding is not None:
        yield Line(Text())
        yield from printer.deciding(decision.finding, has_command_above=decision.command is not None)
    others = tuple(finding for finding in report.findings if finding is not decision.finding)
    yield from _other_findings(others, printer, verbose=verbose)
    yield Line(Text())
    yield from _context(report, verbose=verbose)
    if report.probe is not None:
        detail = detail_of(is_good=report.verdict in ("fit", "measured"), verbose=verbose)
        yield from probe.render(report.probe, report.plan, marks, detail)
    if report.remedy_trial is not None:
        yield Line(Text())
        yield from remedy_trial.render(report.remedy_trial, report.plan.precision)
    if not verbose:
        yield from printer.short([finding for finding in others if finding.severity is not Severity.ERROR])


def _to_do(report: Report, decision: Answer) -> Iterator[Line]:
    """Yield what to do next: the one command, or the remedy; and a line for each further error that it does not fix."""
    first = decision.finding
    if decision.command is not None:
        yield command_line(decision.command, indent=4)
    errors = [each for each in report.findings if each.severity is Severity.ERROR and each is not first]
    # An error that happens because of the first one has the same command, and one without a place has no remedy alone.
    further = [each for each in errors if each.path is not None and not each.commands]
    if first is not None and decision.command is None:
        has_others = bool(further) and first.path is not None
        yield _at_its_place(first) if has_others else text_line(first.remedy, indent=4)
    room = MAX_TO_DO - 1
    yield from map(_at_its_place, further[:room])
    if len(further) > room:
        yield text_line(f"and {counted(len(further) - room, 'more error')} below", indent=4)


def _at_its_place(finding: Finding) -> Line:
    """Return the remedy of a finding behind its place; what wraps is indented, to look like one entry."""
    line = f":{finding.line}" if finding.line is not None else ""
    return Line(Text(f"    {finding.path}{line}: {finding.remedy}"), hang=6)


def _other_findings(findings: Sequence[Finding], printer: FindingPrinter, *, verbose: bool) -> Iterator[Line]:
    for finding in findings:
        if verbose:
            yield Line(Text())
            yield from printer.full(finding)
        elif finding.severity is Severity.ERROR:
            yield from printer.other_error(finding)


def _context(report: Report, *, verbose: bool) -> Iterator[Line]:
    """Yield what was examined: profile, code, settings, environment, and what the matrix knows about it."""
    plan = report.plan
    yield from gate.render(report)
    yield Line(Text(f"vc2doctor {report.doctor}: profile {plan.profile}, precision {plan.precision}", "bold"))
    yield from code.render(report)
    yield from _settings(plan)
    yield from _environment(report.environment, verbose=verbose)
    if report.combination is not None:
        yield labeled_line("Combination", _combination(report.combination, report, verbose=verbose))
        yield from coverage.render(report, verbose=verbose)
    yield from quantized.render(report.quantized, verbose=verbose)


def _settings(plan: Plan) -> Iterator[Line]:
    """Yield a line for each settings file with the keys of it that count: for the check, and for the code."""
    keys: dict[str, dict[str, None]] = {}
    for settings in (plan.settings, plan.code_settings):
        if settings is not None and settings.applied:
            where = " (in a folder above)" if settings.is_above else ""
            keys.setdefault(f"{settings.file}{where}", {}).update(dict.fromkeys(settings.applied))
    for file, names in keys.items():
        yield labeled_line("Settings", f"{file}: {', '.join(names)}")


def _combination(judgement: Judgement, report: Report, *, verbose: bool) -> str:
    """Return what the matrix says; briefly if the training was seen to work here, because that decides."""
    if report.verdict != "fit" or verbose:
        return f"{judgement.verdict.value}: {judgement.reason}"
    if report.probe is not None:
        return f"{judgement.verdict.value} by the matrix"
    return f"{judgement.verdict.value}: {judgement.reason.partition('; ')[0]}"


def _environment(environment: Environment, *, verbose: bool) -> Iterator[Line]:
    interpreter = environment.interpreter
    yield labeled_line("Examined", _examined(environment))
    if environment.failure is not None:
        yield labeled_line("Python", f"{interpreter.path}, which did not say what is installed")
        return
    yield labeled_line("Python", f"{interpreter.version} ({interpreter.kind}), {interpreter.path}")
    yield labeled_line("Stack", _versions(environment, STACK_PACKAGES))
    if verbose:
        yield labeled_line("Companions", _versions(environment, COMPANION_PACKAGES))
    nvidia = environment.nvidia
    for gpu in nvidia.gpus:
        yield labeled_line(f"GPU {gpu.index}", _gpu(gpu, nvidia))
    if not nvidia.gpus and verbose:
        yield labeled_line("GPU", nvidia.note or f"none visible (CUDA_VISIBLE_DEVICES={nvidia.visible})")
    if not verbose:
        return
    cpu = environment.cpu
    bf16_flags = " ".join(flag for flag in cpu.flags if "bf16" in flag)
    model = cpu.model or "unknown model"
    yield labeled_line("CPU", f"{model}, {counted(cpu.cores, 'core')}, {bf16_flags or 'no bf16 instructions'}")


def _examined(environment: Environment) -> str:
    choice = environment.choice
    if environment.is_unchosen:
        if choice.by_command:
            return f"nothing: the command starts {choice.python}, which belongs to the doctor"
        return "nothing: no environment is active, and you named none"
    others = "".join(
        f"; not examined: {path} ({shell.join(['vc2doctor', 'check', '--python', path])})" for path in choice.others
    )
    return f"{environment.interpreter.prefix}: {choice.reason}{others}"


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
