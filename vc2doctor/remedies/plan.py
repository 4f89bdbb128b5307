"""One plan for all conflicts of an environment: what to change, and the one command that does it.

All checks print this plan, so that no remedy undoes another.
"""

from collections.abc import Sequence
from typing import NamedTuple

from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import OwnData
from vc2doctor.core.versions import STACK_PACKAGES
from vc2doctor.environment.model import COMPANION_PACKAGES, Environment
from vc2doctor.matrix.judge import Combination
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.remedies import commands, requirements
from vc2doctor.remedies.by_date import raised_to_date
from vc2doctor.remedies.complete_set import complete_sets
from vc2doctor.remedies.question import Goal, Question, Requires
from vc2doctor.remedies.smallest import Remedy, nearest_measured, smallest_remedies


class MissingRequirement(NamedTuple):
    """What brings a module that installed code imports, although no installed package requires it."""

    requirement: str
    package: str | None
    """The package whose code imports it."""


class VersionPlan(OwnData):
    """What to change in an environment."""

    remedies: tuple[Remedy, ...] = ()
    """Alternatives, the smallest first; empty: nothing has to change, or nothing is known to help."""
    measured: Remedy | None = None
    """The nearest set that was measured to train, if no small change is known."""
    reinstalled: tuple[str, ...] = ()
    """Damaged packages that are installed again, each in its own version."""
    added: tuple[str, ...] = ()
    """Requirements for packages whose releases the matrix does not know: declared, and not met."""
    commands: tuple[str, ...] = ()
    """The command that makes the whole change; further ones are alternatives."""
    is_solved: bool = True
    """Whether the matrix knows no conflict among the versions as they are, those of damaged packages included."""
    versions: dict[str, str] = Field(default_factory=dict)
    """All versions after the first command, by distribution."""

    @property
    def first(self) -> Remedy | None:
        """The change that the first command makes; ``None``: it only installs something again, or adds something."""
        return self.remedies[0] if self.remedies else self.measured


def question_of(environment: Environment, combination: Combination, matrix: Matrix, goal: Goal) -> Question:
    """Return the question that an environment asks; ``combination`` is what the matrix judges it by.

    A damaged package counts with the version that its metadata folder is named after.
    """
    damaged = {
        name: text for name, text in _versions_of_damaged(environment).items() if name not in combination.versions
    }
    combination = combination.model_copy(update={"versions": {**damaged, **combination.versions}})
    declared = tuple(
        Requires(entry.distribution.name, entry.name, entry.specifier) for entry in requirements.declared(environment)
    )
    question = Question(combination=combination, matrix=matrix, goal=goal, requires=declared)
    # The metadata of a damaged package is lost, but its release is known.
    released = [entry for name, text in damaged.items() for entry in question.requires_of(name, text)]
    return question.model_copy(update={"requires": (*declared, *released)}) if released else question


def plan(
    environment: Environment,
    question: Question,
    *,
    suspects: frozenset[str] = frozenset(),
    named: tuple[str, ...] = (),
    missing: Sequence[MissingRequirement] = (),
) -> VersionPlan:
    """Return the plan that solves ``question``, with the commands for ``environment``.

    ``missing`` is what installed code imports and no package declares. A change brings it, too, unless it replaces that
    code. A package that a known issue calls missing is always brought.

    If no small change is known, the plan holds the nearest measured set. ``suspects`` are packages that may be the
    cause although the matrix knows no conflict; then the measured set changes one of them. If an exception has
    ``named`` packages (the likeliest cause first), a change that is likely to help comes before it.
    """
    undeclared, installed = question.undeclared, question.combination.versions
    is_solved = question.is_solved_by({})
    question = question.with_undeclared
    needs_no_change = question.is_solved_by({}) if undeclared else is_solved
    # A package that is left out brings none of its requirements, so the change has to name all of them.
    is_completed = question.missing and not question.goal.left_out
    remedies = complete_sets(question) if is_completed else smallest_remedies(question)
    if question.goal.left_out:
        remedies = tuple(each.without(question.goal.left_out) for each in remedies)
        is_solved = needs_no_change = not all(each.requirements for each in remedies)
        remedies = () if is_solved else remedies
    likely = raised_to_date(question, named) if is_solved else None
    if likely is not None:
        remedies = (likely.without(question.goal.left_out),)
    measured = None
    if not remedies and (suspects or not needs_no_change):
        measured = _nearest(question, suspects)
    ways = [*remedies, *([measured] if measured else [])]
    reinstalled = _damaged(environment, question)
    # Without a change, there may still be something to reinstall or to add.
    changes = [way.requirements for way in ways] or ([()] if needs_no_change else [])
    added = [
        tuple(dict.fromkeys((*_added(environment, question, change), *undeclared, *_still_missing(missing, change))))
        for change in changes
    ]
    texts = [
        _command(environment, question, [*change, *further], reinstalled)
        for change, further in zip(changes, added, strict=True)
    ]
    return VersionPlan(
        remedies=remedies,
        measured=measured,
        reinstalled=reinstalled,
        added=added[0] if added else (),
        commands=tuple(text for text in texts if text),
        is_solved=is_solved,
        versions={**installed, **(ways[0].changes if ways else {})},
    )


def _nearest(question: Question, suspects: frozenset[str]) -> Remedy | None:
    """Return the change to the nearest measured set, without what is left out; ``None``: there is none."""
    left_out = question.goal.left_out
    nearest = nearest_measured(question, suspects.difference(left_out))
    changed = nearest.without(left_out) if nearest is not None else None
    return changed if changed is not None and changed.requirements else None


def _damaged(environment: Environment, question: Question) -> tuple[str, ...]:
    """Return the damaged packages that matter, each as a requirement for the version that was installed."""
    versions = question.combination.versions
    names = dict.fromkeys(distribution.name for distribution in environment.distributions if distribution.problems)
    return tuple(
        f"{name}=={Version(versions[name]).public}"
        for name in names
        if name in versions and matters(question.matrix, name)
    )


def matters(matrix: Matrix, package: str) -> bool:
    """Return whether the stack needs ``package``, or the matrix knows its releases."""
    return package in STACK_PACKAGES or package in COMPANION_PACKAGES or package in matrix.wheels.releases


def _versions_of_damaged(environment: Environment) -> dict[str, str]:
    return {
        distribution.name: str(distribution.named_version)
        for distribution in environment.distributions
        if distribution.version is None and distribution.named_version is not None
    }


def _added(environment: Environment, question: Question, change: Sequence[str]) -> tuple[str, ...]:
    """Return what packages of the matrix require of other packages, and do not find.

    Of a package that ``change`` replaces, the installer resolves the requirements.
    """
    replaced = {_name(text) for text in change}
    specifiers: dict[str, list[str]] = {}
    unmet: list[str] = []
    for entry in requirements.declared(environment):
        if matters(question.matrix, entry.name) or entry.distribution.name in replaced:
            continue
        specifiers.setdefault(entry.name, []).extend(text for text in (entry.specifier,) if text)
        installed = environment.distribution(entry.name)
        is_met = installed is not None and (
            installed.parsed is None or entry.requirement.specifier.contains(installed.parsed, prereleases=True)
        )
        if matters(question.matrix, entry.distribution.name) and not is_met and entry.name not in unmet:
            unmet.append(entry.name)
    # All requirements for one package are joined: what the others need of it must stay met.
    return tuple(f"{name}{','.join(dict.fromkeys(specifiers[name]))}" for name in unmet)


def _still_missing(missing: Sequence[MissingRequirement], change: Sequence[str]) -> tuple[str, ...]:
    """Return what a change has to bring; without a change, the finding about the exception says so itself."""
    replaced = {_name(text) for text in change}
    wanted = (each.requirement for each in missing if change and each.package not in replaced)
    return tuple(dict.fromkeys(wanted))


def _name(requirement: str) -> str:
    return requirement.partition("==")[0]


def _command(environment: Environment, question: Question, wanted: Sequence[str], reinstalled: Sequence[str]) -> str:
    if environment.interpreter.externally_managed:
        # The command makes a new environment, which needs everything.
        changed = {_name(text) for text in wanted}
        names = [name for name in question.matrix.wheels.releases if name in question.combination.versions]
        versions = question.combination.versions
        # The index of the user may not have a local version such as 2.13.0+cpu.
        kept = [f"{name}=={Version(versions[name]).public}" for name in names if name not in changed]
        return commands.change(environment, [*kept, *wanted]) if wanted or reinstalled else ""
    parts = [commands.reinstall(environment, reinstalled)] if reinstalled else []
    parts += [commands.change(environment, wanted)] if wanted else []
    return " && ".join(parts)
