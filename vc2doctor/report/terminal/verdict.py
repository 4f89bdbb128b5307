"""The first line of a report on an examination: the verdict."""

from vc2doctor.checks.tried import plain_loop, through_door, unlikely
from vc2doctor.commands.report import Report
from vc2doctor.core.precision import FLOAT16
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity, is_of_code
from vc2doctor.matrix.judge import Verdict
from vc2doctor.probe.facts import Headroom
from vc2doctor.probe.gradient_range import DEFAULT_SCALE, GradientRange
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.report.terminal import coverage, doors
from vc2doctor.report.terminal.lines import Line, Marks, counted_by_severity
from vc2doctor.report.terminal.styled import Text
from vc2doctor.target.shared.recipes import CONTROL
from vc2doctor.target.shared.variants import VARIANTS

_ON_PAPER = {Verdict.VERIFIED: "they were measured to train", Verdict.COMPATIBLE: "inferred from measured ones"}


def verdict_line(report: Report, marks: Marks) -> Line:
    """Return the line with the verdict, what was tried, and how many findings there are.

    What was not tried is named if it is likely here; the others are counted.
    """
    sentence, kind = in_words(report)
    if kind == "good" and report.exit_code:
        # A good mark must not stand before an exit code that refuses.
        kind = "warn"
    mark, style = marks(kind)
    rest = f"{_settings_that_decided(report)}{_counts(report)}{_judged_as(report)}{_reason_of_exit_code(report)}"
    return Line(Text.assemble((f"{mark} {sentence}", style), rest), hang=2)


def in_words(report: Report) -> tuple[str, str]:
    """Return the sentence of the verdict and the kind of its mark."""
    if _is_unchosen(report):
        return "No environment was chosen, so none was examined.", "warn"
    if report.verdict == "fit":
        return _fit(report)
    if report.verdict == "unfit":
        return _unfit(report), "bad"
    if report.verdict == "unproven":
        return _unproven(report), "warn"
    if report.verdict == "incomplete":
        return "The examination could not be finished.", "warn"
    headroom = report.probe.headroom if report.probe else None
    gradients = report.probe.gradients if report.probe else None
    reason = report.probe.gradients_unmeasured if report.probe else None
    measured = _range(headroom, gradients, reason) if headroom else "No fault was measured."
    return f"{measured} Training was not tested.", "good"


def _unproven(report: Report) -> str:
    if report.probe is None and _on_paper(report):
        return f"Not proven to train under {report.plan.precision}: {_by_versions_alone(report)} (--no-probe)."
    weak = _weak(report)
    if weak is not None:
        return f"The steps run under {weak.recipe}, but they hardly train the model: {weak.description}."
    start = "No fault was found, but" if report.probe else "Nothing was tried, and"
    return f"{start} nothing shows that training under {report.plan.precision}{_untried(report)} works."


def _weak(report: Report) -> RecipeOutcome | None:
    """Return the recipe that decides, or the control, if its outcome is weak; ``None``: it is not."""
    weak = [each for each in (report.probe.recipes if report.probe else ()) if each.outcome == "weak"]
    decides = [each for each in weak if each.recipe == report.plan.precision]
    return next((each for each in (*decides, *weak) if each.recipe in (report.plan.precision, CONTROL)), None)


def _fit(report: Report) -> tuple[str, str]:
    start = f"Fit to train under {report.plan.precision}"
    if report.probe is not None:
        return f"{start}: {_tried(report)}.", "good"
    return f"{start} by {_by_versions_alone(report)} (--no-probe).", "warn"


def _on_paper(report: Report) -> str | None:
    """Return what the matrix says for the versions; ``None``: nothing."""
    return _ON_PAPER.get(report.combination.verdict) if report.combination is not None else None


def _by_versions_alone(report: Report) -> str:
    uncovered = coverage.not_judged(report.not_judged.imported)
    return f"versions alone ({_on_paper(report) or 'unknown'}){uncovered}; nothing was tried"


def _untried(report: Report) -> str:
    """Return the ways to train that were asked for and not tried, if the recipe is finite without them."""
    outcomes = report.probe.variants if report.probe else ()
    tried = {each.variant for each in outcomes if each.trains(report.plan.precision)}
    titles = [VARIANTS[name].title for name in report.plan.variants if name not in tried]
    return f" {enumerated(titles)}" if titles else ""


def _unfit(report: Report) -> str:
    if report.probe is not None and report.probe.load_failure is not None:
        return f"{report.plan.custom_subject} cannot be loaded, so nothing was trained."
    recipes = report.probe.recipes if report.probe else ()
    if report.plan.custom_subject is not None and recipes and all(each.outcome == "error" for each in recipes):
        return f"{report.plan.custom_subject} fails under every precision that was tried."
    if _is_fault_of_code(report):
        trains = f"; this environment trains under {report.plan.precision}" if _trained(report) else ""
        return f"Not fit to train: the fault is in the training code{trains}."
    return f"Not fit to train under {report.plan.precision}."


def _is_fault_of_code(report: Report) -> bool:
    """Return whether all errors are those of the training code. A recipe that trains must not look like the culprit."""
    errors = [each for each in report.findings if each.severity is Severity.ERROR]
    return all(is_of_code(each.id) for each in errors)


def _trained(report: Report) -> bool:
    """Return whether the recipe that decides trained, alone and through every door that matters."""
    if report.probe is None:
        return False
    finite = {each.recipe for each in report.probe.recipes if each.outcome == "finite"}
    passed = {each.door for each in report.probe.doors if each.outcome == "passed"}
    return report.plan.precision in finite and passed.issuperset(report.plan.doors)


def _tried(report: Report) -> str:
    probe, environment = report.probe, report.environment
    if probe is None:
        return ""
    # What is not named is counted, and the JSON report names all.
    unnamed = unlikely(report.plan, probe.doors, environment.all_versions, len(environment.nvidia.gpus))
    why = "your code uses none of them" if report.plan.code is not None else ""
    tried = (plain_loop(report.plan), *(through_door(report.plan, door) for door in probe.doors))
    return doors.tried(tried, probe.not_tried, unnamed, why)


def _judged_as(report: Report) -> str:
    return "" if _is_unchosen(report) else f" Judged as: {report.judged_as}."


def _is_unchosen(report: Report) -> bool:
    return report.environment.is_unchosen and report.verdict == "incomplete"


def _range(headroom: Headroom, gradients: GradientRange | None, reason: str | None) -> str:
    tightest = headroom.tightest
    size = f"Largest value {tightest.largest:,.0f} of {FLOAT16:,.0f}"
    if tightest.bits < 0:
        # A note (VC019) if the precision that decides is not float16.
        return f"{size} ({tightest.bits:.1f} bits): float16 cannot hold these texts."
    return f"{size} ({tightest.bits:.1f} bits spare) in the forward pass. {_gradients(gradients, reason)}"


def _gradients(gradients: GradientRange | None, reason: str | None) -> str:
    """Return what the backward pass needs: values of the forward pass say nothing about it.

    ``reason`` is a clause: why it was not measured.
    """
    if gradients is None:
        because = f", because {reason}" if reason is not None else ""
        return f"The backward pass was not measured{because}. Training in float16 can still fail."
    if not gradients.skipped:
        return f"The gradients of a short text fit into float16 at GradScaler's default scale of {DEFAULT_SCALE:g}."
    return f"The gradients of a short text fit into float16 at a loss scale of {gradients.settled_scale:g} or less."


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
        ids = enumerated(report.refusing_ids)
        return f" Refused (exit code {report.exit_code}): --fail-on {report.plan.fail_on.value} counts {ids}."
    return ""
