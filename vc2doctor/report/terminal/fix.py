"""The part of the linter's report that says what a fix changed, what it refused, and how to undo it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vc2doctor.core.wording import counted, enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter.model import CodeFinding, FixResult, LintPlan, ProgramFix
from vc2doctor.report.terminal.lines import Line, Marks, command_line, text_line
from vc2doctor.report.terminal.styled import Text

MAX_REASONS = 12
"""Reasons that are printed for one program. The JSON report has all of them."""
MAX_REMAINING = 12
"""Mentions of float16 that are printed for one program. The JSON report has all of them."""


def render(
    fix: FixResult, marks: Marks, plan: LintPlan, prefix: str, findings: Sequence[CodeFinding] = ()
) -> Iterator[Line]:
    """Yield the lines about a fix, after which ``findings`` remain.

    ``prefix`` leads from the working directory to the paths.
    """
    yield Line(Text())
    if fix.refused:
        yield from refusal(fix, marks, prefix)
    if fix.files:
        yield from _changed(fix, marks, plan, prefix)
    elif not fix.refused:
        yield text_line(_unchanged(findings), indent=2)
    for program in fix.programs:
        if program.outcome == "fixed" and program.remaining:
            yield from _remaining(program, prefix)
    for caution in fix.cautions:
        mark, style = marks("warn")
        yield Line(Text.assemble("  ", (f"{mark} check by hand: ", style), f"{prefix}{caution}"), hang=6)


def refusal(fix: FixResult, marks: Marks, prefix: str) -> Iterator[Line]:
    """Yield the lines about what was refused, with what to do by hand."""
    mark, style = marks("bad")
    refused = [program for program in fix.programs if program.outcome == "refused"]
    # Programs that share their code often share their reasons as well. Those are printed once.
    by_reasons: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for program in refused:
        by_reasons[program.reasons].append(program.name)
    for reasons, names in by_reasons.items():
        verb = "was" if len(names) == 1 else "were"
        message = f"{mark} {enumerated(names)} {verb} not changed, because the switch would not be complete:"
        yield Line(Text.assemble("  ", (message, style)))
        yield from _reasons(reasons, prefix)
    if not refused:
        yield Line(Text.assemble("  ", (f"{mark} Nothing was fixed or written:", style)))
        yield from _reasons(fix.refused, prefix)


def _reasons(reasons: tuple[str, ...], prefix: str) -> Iterator[Line]:
    yield from (text_line(f"{prefix}{reason}") for reason in reasons[:MAX_REASONS])
    if len(reasons) > MAX_REASONS:
        yield text_line(f"… and {counted(len(reasons) - MAX_REASONS, 'more place')}. The JSON report has all of them.")


def _changed(fix: FixResult, marks: Marks, plan: LintPlan, prefix: str) -> Iterator[Line]:
    mark, style = marks("good")
    verb = "Fixed" if fix.written else "Would fix"
    yield Line(Text.assemble("  ", (f"{mark} {verb} {counted(len(fix.files), 'file')}:", style)))
    yield from (text_line(f"{prefix}{file.path}: {counted(file.edits, 'edit')}") for file in fix.files)
    for program in fix.programs:
        if program.outcome == "fixed":
            precision = "bfloat16" if plan.precision == "bf16" else "float16 with loss scaling"
            when = "now" if fix.written else "after that"
            yield text_line(f"{program.name} is {precision} {when}.")
    if plan.precision == "bf16":
        yield text_line("bfloat16 needs an Ampere or newer GPU. Check the changed code on the machine that trains:")
        yield command_line(_check(plan, prefix))
    if fix.undo is not None:
        yield text_line("Undo:" if fix.undo.startswith("git ") else fix.undo)
        if fix.undo.startswith("git "):
            yield command_line(fix.undo)


def _check(plan: LintPlan, prefix: str) -> str:
    """Return the command that trains in the precision of the changed code, and fails without a GPU."""
    python = tuple(option for option in plan.invocation.options if option[0] == "--python")
    code = plan.paths[0] if len(plan.paths) == 1 else prefix.rstrip("/") or "."
    return plan.invocation.other("check", ("--require", "gpu"), *python, ("--code", code))


def _unchanged(findings: Sequence[CodeFinding]) -> str:
    """Return that nothing was changed, and what is left to fix by hand."""
    ids = dict.fromkeys(each.id for each in findings if each.severity is not Severity.NOTE)
    if not ids:
        return "Nothing to fix."
    return f"Nothing can be fixed automatically. Fix {enumerated(tuple(ids))} by hand."


def _remaining(program: ProgramFix, prefix: str) -> Iterator[Line]:
    count = counted(len(program.remaining), "mention")
    yield text_line(f"{program.name} keeps {count} of float16, for these reasons:", indent=2)
    for each in program.remaining[:MAX_REMAINING]:
        yield text_line(f"{prefix}{each.path}:{each.line}: {each.reason} ({each.code})", "dim")
    if len(program.remaining) > MAX_REMAINING:
        yield text_line(f"… and {len(program.remaining) - MAX_REMAINING} more. The JSON report has all of them.", "dim")
