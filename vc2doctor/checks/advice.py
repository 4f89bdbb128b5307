"""Evidence, remedies and severities that several checks share."""

from collections.abc import Mapping

from packaging.requirements import Requirement

from vc2doctor.checks.context import Examination
from vc2doctor.core.failure import Failure
from vc2doctor.core.names import mentioned
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.core.wording import enumerated
from vc2doctor.environment.model import COMPANION_PACKAGES
from vc2doctor.findings import Severity
from vc2doctor.matrix.judge import Verdict, judge_loop
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.remedies import commands, requirements
from vc2doctor.remedies import plan as remedies
from vc2doctor.remedies.plan import VersionPlan
from vc2doctor.remedies.smallest import Remedy
from vc2doctor.target.shared.recipes import RECIPES

HALF_ALTERNATIVES = (
    "fp16-amp (float32 weights, float16 autocast, GradScaler), in fp16-scaled (float16 weights; the adapters must be"
    " float32, so use peft>=0.12 or peft<0.7), or in fp32 if it fits into memory"
)
"""The precisions to train in where bfloat16 is not native."""


def change_versions(examination: Examination) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for all conflicts of versions, in words and as commands; further commands are alternatives.

    If the matrix knows no conflict, the answer is the nearest measured set.
    """
    plan = examination.version_plan
    return in_words(examination, plan) if plan.commands or not plan.is_solved else _for_unknown_cause(examination)


def install_what_fails(
    examination: Examination, failure: Failure, *, caller: frozenset[str] = frozenset()
) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for ``failure``, in words and as commands; ``caller`` are the packages that were asked to run.

    A module that no installed distribution has is installed, unless an installed package requires it: then the plan
    for all conflicts does so. A library that cannot be loaded has remedies of its own. A version that the message asks
    for is installed if the rest allows it. Without such a hint, the conflicts that the matrix knows decide; if it knows
    none, the answer is the nearest measured set that replaces a package which the exception names.
    """
    # Their patterns take a hundredth of a check by versions, in which nothing fails.
    from vc2doctor.remedies import native_libraries  # noqa: PLC0415
    from vc2doctor.remedies.observed import named_packages  # noqa: PLC0415

    wanted = examination.undeclared(failure)
    is_declared = wanted is None and examination.missing_requirement(failure) is not None
    if is_declared or not examination.version_plan.is_solved:
        # The plan for all conflicts brings what an installed package declares.
        return change_versions(examination)
    native = native_libraries.explained(examination.environment, failure)
    if native is not None:
        return native
    if wanted is not None:
        command = commands.change(examination.environment, [wanted])
        return f"Install {wanted}. The code needs it, and no installed package requires it.", (command,)
    named = named_packages(failure, examination.versions)
    optional = _optional_in(examination, failure)
    if optional:
        reason = "an installed package declares this in an extra, and the failing code uses it"
        return f"Install {enumerated(optional)}: {reason}.", (commands.change(examination.environment, optional),)
    called = caller & examination.versions.keys()
    # What was asked to run comes first: it made the call that failed.
    return _for_unknown_cause(examination, (*sorted(called), *sorted(named - called)))


def _optional_in(examination: Examination, failure: Failure) -> tuple[str, ...]:
    """Return the violated requirements of extras whose package ``failure`` names, in its file or in its message.

    Those on the stack do not count: a package that offers an extra for one old transformers says nothing about the one
    that is trained with.
    """
    words = mentioned(f"{failure.file or ''} {failure.message}")
    violated = requirements.violated_extras(examination.environment)
    return tuple(str(requirement) for requirement in violated if requirement.name in words - set(STACK_PACKAGES))


def _for_unknown_cause(examination: Examination, suspects: tuple[str, ...] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for a failure although the matrix knows no conflict; the likeliest suspects come first."""
    if _was_measured_to_work(examination):
        others = [name for name in suspects if name not in (*STACK_PACKAGES, *COMPANION_PACKAGES)]
        remedy = (
            "These versions of the stack were measured to train, so another package or a damaged file is the cause."
        )
        return f"{remedy} Start with {enumerated(others)}, which the exception names." if others else remedy, ()
    question = examination.question()
    every = frozenset(suspects or STACK_PACKAGES)
    plan = remedies.plan(examination.environment, question, suspects=every, named=suspects)
    return in_words(examination, plan)


def _was_measured_to_work(examination: Examination) -> bool:
    """Return whether a measurement shows that these versions are not the cause of what the probe saw."""
    judgement = examination.judgement
    if judgement is None or judgement.verdict is Verdict.INCOMPATIBLE:
        return False
    if examination.probe is not None and examination.probe.import_failure is not None:
        # The import of the stack concerns the plain loop; whether a door was measured does not matter.
        judgement = judge_loop(examination.combination, examination.matrix, examination.plan.precision)
    return judgement.verdict is Verdict.VERIFIED


def is_planned(examination: Examination, package: str) -> bool:
    """Return whether the plan for all conflicts covers ``package``."""
    return remedies.matters(examination.matrix, package)


def change_to_meet(examination: Examination, package: str, specifier: str) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for a requirement that a package beside the stack declares: a change that keeps the rest."""
    return change_to_meet_all(examination, {package: specifier})


def change_to_meet_all(examination: Examination, wanted: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the remedy that meets several requirements, by package: one change that keeps the rest.

    It leads into no known issue of these packages that is not there already, not even into one of some code only.
    """
    # Those of single doors are constraints already, and what is undeclared is installed beside.
    general = [issue for issue in examination.matrix.issues if not issue.doors and not issue.undeclared]
    new = [issue for issue in general if not issue.applies_to(examination.versions)]
    named = ((issue.id, {name for when in issue.when for name in when}) for issue in new)
    avoided = tuple(id_ for id_, names in named if not names.isdisjoint(wanted))
    plan = remedies.plan(examination.environment, examination.question(wanted=wanted, avoided=avoided))
    if plan.remedies or plan.measured is not None:
        return in_words(examination, plan)
    asked = enumerated([f"{name}{specifier}" for name, specifier in wanted.items() if specifier]) or "this"
    verb = "meet" if len(wanted) > 1 else "meets"
    return f"No version of {enumerated(list(wanted))} {verb} {asked} and is known to train with the rest.", ()


def change_to_avoid(examination: Examination, issue: KnownIssue) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for a known issue that does not stop the training: a change that keeps the rest working.

    A package whose releases the matrix does not know is left to the installer.
    """
    named = [Requirement(text).name for text in issue.fix[0]]
    if not any(is_planned(examination, name) for name in named):
        return f"Install {enumerated(issue.fix[0])}.", (commands.change(examination.environment, issue.fix[0]),)
    plan = remedies.plan(examination.environment, examination.question(avoided=(issue.id,)))
    if plan.remedies:
        return in_words(examination, plan)
    fixes = " or ".join(" and ".join(fix) for fix in issue.fix)
    return f"{fixes} is not affected, but no set with it is known to train here.", ()


def change_for_door(examination: Examination, door: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the remedy for what the matrix knows against a door that does not matter; ``None``: it knows nothing."""
    question = examination.question(more_doors=(door,))
    if question.is_solved_by({}):
        return None
    plan = remedies.plan(examination.environment, question)
    return in_words(examination, plan) if plan.remedies else None


def change_to_pins(examination: Examination, pins: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the remedy for versions that differ from ``pins``; a command only if the pinned versions work here."""
    intent = "To train exactly as the project does, install its versions in a separate environment"
    question = examination.question()
    changes = {name: pin.removeprefix("==") for name, pin in pins.items() if pin.startswith("==")}
    are_exact = len(changes) == len(pins)
    if are_exact and all(map(question.is_installable, changes, changes.values())) and question.is_solved_by(changes):
        command = commands.change(examination.environment, [f"{name}=={text}" for name, text in changes.items()])
        return f"{intent}, or here: the matrix calls the result {question.judged(changes).verdict.value}.", (command,)
    return f"{intent}. They are not known to work with the other packages and the Python of this one.", ()


def in_words(examination: Examination, plan: VersionPlan) -> tuple[str, tuple[str, ...]]:
    """Return a plan in words, with its commands."""
    parts = []
    if plan.reinstalled:
        parts.append(f"Install {enumerated(plan.reinstalled)} again, because the installation is damaged.")
    if plan.added:
        parts.append(f"Install {enumerated(plan.added)}, which installed packages require.")
    for remedy in plan.remedies:
        sentence = f"{_changes_in_words(examination, remedy)}. The matrix calls the result {remedy.reason}."
        parts.append(f"Or {sentence[0].lower()}{sentence[1:]}" if remedy is not plan.remedies[0] else sentence)
    if not plan.remedies and not (plan.is_solved and plan.commands and plan.measured is None):
        parts.append(_without_remedy(examination, plan))
    return " ".join(parts), plan.commands


def _without_remedy(examination: Examination, plan: VersionPlan) -> str:
    if plan.measured is not None:
        change = _changes_in_words(examination, plan.measured)
        return (
            f"No small change of versions is known to fix this. Or {change[0].lower()}{change[1:]}: the nearest set"
            f" that was measured to train under {examination.plan.precision} ({plan.measured.reason})."
        )
    if plan.is_solved:
        return "The matrix knows no conflict among these versions, so no change of versions is known to help."
    return (
        f"No change of versions is known to fix this: no set that was measured to train under"
        f" {examination.plan.precision} can be installed here under Python {examination.environment.interpreter.minor}."
        " `vc2doctor check` trains a few steps and shows which precisions work here."
    )


def _changes_in_words(examination: Examination, remedy: Remedy) -> str:
    """Return ``Change peft from 0.21.2 to 0.13.2``, or ``Install peft 0.21.2`` if it is missing."""
    installed = examination.question().combination.versions
    changed = [f"{name} from {installed[name]} to {text}" for name, text in remedy.changes.items() if name in installed]
    added = [f"{name} {text}" for name, text in remedy.changes.items() if name not in installed]
    sentences = [f"Change {enumerated(changed)}"] if changed else []
    sentences += [f"{'install' if changed else 'Install'} {enumerated(added)}"] if added else []
    return ", and ".join(sentences)


def matrix_evidence(examination: Examination) -> list[str]:
    """Return the verdict of the matrix as a line of evidence; nothing if a package of the stack is missing."""
    judgement = examination.judgement
    return [] if judgement is None else [f"matrix: {judgement.verdict.value}; {judgement.reason}"]


def severity_for(examination: Examination, package: str, *, elsewhere: Severity) -> Severity:
    """Return an error for a fault of the stack or of what it depends on, and ``elsewhere`` for other packages.

    If the probe trained here, the error becomes a warning.
    """
    if package not in (*STACK_PACKAGES, *COMPANION_PACKAGES):
        return elsewhere
    return examination.capped_if_trained(Severity.ERROR)


def probed_again(examination: Examination) -> str:
    """Return the command that repeats an examination and lets it train."""
    invocation = examination.plan.invocation
    if invocation.has("--no-probe") or examination.plan.probe:
        return invocation.again(without=("--no-probe",))
    # A settings file turned the probe off, so it has to be turned on by name.
    return invocation.again(("--probe", None))


def on_a_gpu_again(examination: Examination) -> str:
    """Return the command that repeats an examination on a machine with a GPU, and fails without one."""
    without = ("--device",) if examination.plan.device == "cpu" else ()
    return examination.plan.invocation.again(("--require", "gpu"), without=without)


def computes_in_bfloat16(examination: Examination) -> bool:
    """Return whether the recipe that decides computes in bfloat16."""
    return "bfloat16" in RECIPES[examination.plan.precision].dtypes
