"""The first line of a report on an examination: the verdict."""

from rich.text import Text

from vc2doctor.checks.tried import plain_loop
from vc2doctor.commands.report import Report
from vc2doctor.core.precision import FLOAT16
from vc2doctor.findings import Severity
from vc2doctor.matrix.judge import Verdict
from vc2doctor.probe.facts import Headroom
from vc2doctor.report.terminal import coverage, doors
from vc2doctor.report.terminal.lines import Line, Marks, counted_by_severity

_ON_PAPER = {Verdict.VERIFIED: "they were measured to train", Verdict.COMPATIBLE: "inferred from measured ones"}


def verdict_line(report: Report, marks: Marks) -> Line:
    """Return the line with the verdict, what was tried, and how many findings there are."""
    sentence, kind = _in_words(report)
    mark, style = marks(kind)
    rest = f"{_settings_that_decided(report)}{_counts(report)}{_judged_as(report)}{_reason_of_exit_code(report)}"
    return Line(Text.assemble((f"{mark} {sentence}", style), rest), hang=2)


def _in_words(report: Report) -> tuple[str, str]:
    """Return the sentence of the verdict and the kind of its mark."""
    if _is_unchosen(report):
        return "No environment was chosen, so none was examined.", "warn"
    if report.verdict == "fit":
        return _fit(report)
    if report.verdict == "unfit":
        return _unfit(report), "bad"
    if report.verdict == "unproven":
        start = "No fault was found, but" if report.probe else "Nothing was tried, and"
        return f"{start} nothing shows that training under {report.plan.precision} works.", "warn"
    if report.verdict == "incomplete":
        return "The examination could not be finished.", "warn"
    headroom = report.probe.headroom if report.probe else None
    return f"{_range(headroom) if headroom else 'No fault was measured.'} Training was not tested.", "good"


def _fit(report: Report) -> tuple[str, str]:
    start = f"Fit to train under {report.plan.precision}"
    if report.probe is not None:
        return f"{start}: {_tried(report)}.", "good"
    reason = _ON_PAPER.get(report.combination.verdict, "unknown") if report.combination else "unknown"
    uncovered = coverage.not_judged(report.not_judged.imported)
    return f"{start} by versions alone ({reason}){uncovered}; nothing was tried (--no-probe).", "warn"


def _unfit(report: Report) -> str:
    if report.probe is not None and report.probe.load_failure is not None:
        return f"{report.plan.custom_subject} cannot be loaded, so nothing was trained."
    recipes = report.probe.recipes if report.probe else ()
    if report.plan.custom_subject is not None and recipes and all(each.outcome == "error" for each in recipes):
        return f"{report.plan.custom_subject} fails under every precision that was tried."
    return f"Not fit to train under {report.plan.precision}."


def _tried(report: Report) -> str:
    if report.probe is None:
        return ""
    return doors.tried((plain_loop(report.plan), *report.probe.doors), report.probe.not_tried)


def _judged_as(report: Report) -> str:
    return "" if _is_unchosen(report) else f" Judged as: {report.judged_as}."


def _is_unchosen(report: Report) -> bool:
    return report.environment.is_unchosen and report.verdict == "incomplete"


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
    return f" {settings.description} sets {values}."


def _counts(report: Report) -> str:
    # Notes are for information, and a good report is short.
    counted = [each for each in report.findings if report.verdict != "fit" or each.severity is not Severity.NOTE]
    return f" {counted_by_severity(counted)}." if counted else ""


def _reason_of_exit_code(report: Report) -> str:
    """Return why a good verdict ends with another exit code than 0."""
    if report.verdict in ("fit", "measured") and report.exit_code:
        return f" Exit code {report.exit_code} because of --fail-on {report.plan.fail_on.value}."
    return ""
