"""What was examined, as pairs of a label and a text."""

from collections.abc import Iterator

from vc2doctor.commands.report import Report

_GIB = 1024**3


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what the verdict is about: the doctor, the options, the environment and the machine."""
    plan, environment = report.plan, report.environment
    yield "Judged as", report.judged_as
    yield "Profile", plan.profile
    yield "Precision", plan.precision
    if plan.code is not None:
        yield "Code", plan.code
    for settings in (plan.settings, plan.code_settings):
        if settings is not None and settings.applied:
            yield "Settings", f"{settings.file}: {', '.join(settings.applied)}"
    yield "Environment", f"{environment.interpreter.prefix} ({environment.choice.reason})"
    yield "Python", f"{environment.interpreter.version} ({environment.interpreter.kind})"
    yield from _machine(report)
    if report.gate is not None:
        yield "Command", f"{report.gate.starts}: {report.gate.decision}, {report.gate.reason}"
        for sentence in report.gate.unread:
            yield "Not read", sentence
    if report.remedy_trial is not None:
        yield "Remedy tried", ". ".join((report.remedy_trial.outcome, *report.remedy_trial.errors))
    yield "vc2doctor", f"{report.doctor}, {report.seconds:.1f} s, exit code {report.exit_code}"


def _machine(report: Report) -> Iterator[tuple[str, str]]:
    platform, nvidia, cpu = report.environment.platform, report.environment.nvidia, report.environment.cpu
    yield "System", f"{platform.system} {platform.machine}, {platform.libc}".rstrip(", ")
    yield "CPU", f"{cpu.model or 'unknown model'}, {cpu.cores} cores"
    for gpu in nvidia.gpus:
        capability = f", compute capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else ""
        memory = f", {gpu.memory_total / _GIB:.0f} GiB" if gpu.memory_total else ""
        yield f"GPU {gpu.index}", f"{gpu.name}{capability}{memory}"
    if not nvidia.gpus:
        yield "GPU", nvidia.note or "none visible"
