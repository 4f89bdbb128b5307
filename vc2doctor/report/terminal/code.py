"""What a report says about the precision that the training code was read to have."""

from collections.abc import Iterator

from vc2doctor.commands.report import Report
from vc2doctor.core.wording import counted
from vc2doctor.report.terminal.lines import Line, labeled_line


def render(report: Report) -> Iterator[Line]:
    """Yield the line about the code; none if there is no code and no command."""
    plan = report.plan
    if plan.code is not None or report.gate is not None:
        silenced = f" {counted(plan.code_silenced, 'finding')} silenced." if plan.code_silenced else ""
        yield labeled_line("Code", f"{_precision(report)}{silenced}")


def _precision(report: Report) -> str:
    plan = report.plan
    if plan.code_recipes:
        where = f"{plan.code}: " if plan.code is not None else ""
        # A unit whose entry points could not be distinguished has the name of its folder.
        entries = {"the code" if name == "." else name: recipe for name, recipe in plan.code_recipes.items()}
        recipes = ", ".join(f"{entry} trains under {recipe}" for entry, recipe in entries.items())
        return f"{where}{recipes}."
    unknown = "The precision of the code is not known."
    if plan.invocation.has("--precision") or (plan.settings is not None and plan.settings.chose("precision")):
        return f"{unknown} {plan.precision} is the one that you named."
    return f"{unknown} {plan.precision} was {'tried' if report.probe else 'judged'}; name yours with --precision."
