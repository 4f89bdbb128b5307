"""What a remedy is searched for, and what holds for every answer."""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import Field

from vc2doctor.core.data import OwnData
from vc2doctor.core.names import mentioned
from vc2doctor.core.versions import STACK_PACKAGES, contains, holds, version
from vc2doctor.matrix.builds import TORCHVISION, build_mismatch, with_build
from vc2doctor.matrix.door_table import lineage
from vc2doctor.matrix.doors import DOORS_NOT_MEASURED
from vc2doctor.matrix.judge import Combination, Judgement, Verdict, judge
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.verdict import ANY_VERSION
from vc2doctor.target.doors import DEFAULT_DOORS, LOOP

GOOD_VERDICTS = (Verdict.VERIFIED, Verdict.COMPATIBLE)


class Requires(NamedTuple):
    """A requirement that an installed package declares."""

    package: str
    dependency: str
    specifier: str
    """Empty: every version."""


class Goal(OwnData):
    """What must hold for the versions that a remedy leads to."""

    recipe: str
    """The precision recipe that must train."""
    doors: tuple[str, ...] = DEFAULT_DOORS
    """The ways into the stack that must work."""
    wanted: dict[str, str] = Field(default_factory=dict)
    """Specifiers by distribution that must be met, whatever the matrix says: an exception or a check asked for them."""
    avoided: tuple[str, ...] = ()
    """Ids of known issues that must not apply, although they do not stop the training."""
    left_out: tuple[str, ...] = ()
    """Packages of the stack that stay away, because the training does not use them. The matrix knows whole sets only,
    so it judges a release of them with the rest."""
    asked: dict[str, str] = Field(default_factory=dict)
    """Specifiers by distribution that the files of the project ask for. Missing packages meet them where possible."""


class Question(OwnData):
    """Versions that do not work, and the goal of changing them."""

    combination: Combination
    matrix: Matrix
    goal: Goal
    requires: tuple[Requires, ...] = ()
    """What the installed packages declare."""

    def judged(self, changes: Mapping[str, str]) -> Judgement:
        """Return the verdict of the matrix on the versions after ``changes``."""
        return judge(self.combination.after(changes), self.matrix, self.goal.recipe, self.goal.doors)

    def after(self, changes: Mapping[str, str]) -> "Question":
        """Return the question that ``changes`` leave: other versions, and what these declare."""
        requires = tuple(self.requires_after(changes))
        return Question(
            combination=self.combination.after(changes), matrix=self.matrix, goal=self.goal, requires=requires
        )

    def is_solved_by(self, changes: Mapping[str, str]) -> bool:
        """Return whether the versions after ``changes`` train, by all that is known and declared."""
        versions = {**self.combination.named, **changes}
        return (
            not self.unmet_after(changes)
            and all(name in versions and contains(text, versions[name]) for name, text in self.goal.wanted.items())
            and not any(issue.applies_to(versions) for issue in self._avoided_issues)
            and all(issue.is_fixed_by(versions) for issue in self._issues_of_models)
            and _is_good(self.judged(changes))
        )

    def unmet_after(self, changes: Mapping[str, str]) -> list[Requires]:
        """Return the declared requirements that the versions after ``changes`` do not meet.

        A requirement that is unmet already counts only if a package of the matrix declares it.
        """
        versions = {**self.combination.versions, **changes}
        return [entry for entry in self.requires_after(changes) if self.is_unmet(entry, versions)]

    def requires_after(self, changes: Mapping[str, str]) -> list[Requires]:
        """Return what the packages declare after ``changes``: a changed package declares what its new release does."""
        kept = [entry for entry in self.requires if entry.package not in changes and not self._is_tolerated(entry)]
        if not self.combination.installed:
            # Nothing is installed, so what the named releases declare stands for their metadata.
            changes = {**self.combination.versions, **changes}
        return [*kept, *(entry for name, text in changes.items() for entry in self.requires_of(name, text))]

    @property
    def requires_of_installed(self) -> list[Requires]:
        """What the packages declare as they are."""
        return self.requires_after({})

    def requires_of(self, package: str, text: str) -> list[Requires]:
        """Return what a release of ``package`` declares; nothing if the release is not known."""
        release = self.matrix.wheels.release(package, text)
        return [Requires(package, name, wanted) for name, wanted in release.requires.items()] if release else []

    def is_unmet(self, entry: Requires, versions: Mapping[str, str]) -> bool:
        """Return whether ``versions`` do not meet a requirement for a package whose releases the matrix knows.

        What a new release requires and finds missing, the installer adds in its newest release that fits.
        """
        if entry.dependency not in self.matrix.wheels.releases:
            return False
        if entry.dependency not in versions:
            return entry in self._declared_here
        return not contains(entry.specifier, versions[entry.dependency])

    def _is_tolerated(self, entry: Requires) -> bool:
        """Return whether a requirement is unmet already, and none of the matrix's packages declares it."""
        return entry.package not in self.matrix.wheels.releases and self.is_unmet(entry, self.combination.versions)

    @cached_property
    def _declared_here(self) -> frozenset[Requires]:
        return frozenset(self.requires)

    @cached_property
    def _avoided_issues(self) -> tuple[KnownIssue, ...]:
        """Known issues that must not apply, even to a measured cell: it may lack the package that they name."""
        recipe, avoided, types = self.goal.recipe, self.goal.avoided, self.combination.model_types
        return tuple(issue for issue in self.matrix.issues if issue.blocks(recipe, types) or issue.id in avoided)

    @cached_property
    def _issues_of_models(self) -> tuple[KnownIssue, ...]:
        """Defects of the model that is trained: releases before them do not have the model, so only the fix helps."""
        named = self.combination.named
        return tuple(issue for issue in self._avoided_issues if issue.model_types and issue.applies_to(named))

    @cached_property
    def undeclared(self) -> tuple[str, ...]:
        """Packages that are absent, and whose installation alone fixes a known issue of the doors that matter."""
        issues = [
            issue
            for issue in self.matrix.issues
            if issue.undeclared and issue.severity == "error" and issue.affects(self.goal.recipe)
        ]
        named, doors = self.combination.named, set(self._doors)
        applying = [issue for issue in issues if issue.applies_to(named) and doors & {*(issue.doors or (LOOP,))}]
        return tuple(dict.fromkeys(issue.undeclared for issue in applying if issue.undeclared))

    @property
    def with_undeclared(self) -> "Question":
        """The question that is left when the undeclared packages are there."""
        present = dict.fromkeys(self.undeclared, ANY_VERSION)
        return self.model_copy(update={"combination": self.combination.after(present)}) if present else self

    @cached_property
    def regions(self) -> tuple[dict[str, str], ...]:
        """Regions of versions in which training fails; the keys are distributions and ``python``."""
        regions = [dict(when) for issue in self._avoided_issues for when in issue.when]
        constraints = self.matrix.verdicts.constraints_for(
            self.goal.recipe, installed=self.combination.installed, doors=self._doors
        )
        return (*regions, *(dict(constraint.when) for constraint in constraints))

    @property
    def _doors(self) -> tuple[str, ...]:
        """The doors that must work, with those that they go through."""
        return tuple(dict.fromkeys((LOOP, *(each for door in self.goal.doors for each in lineage(door)))))

    @cached_property
    def resolver_regions(self) -> tuple[dict[str, str], ...]:
        """Regions in which the installer gives up. They concern only what is changed."""
        constraints = self.matrix.verdicts.constraints_for(self.goal.recipe, installed=False)
        return tuple(dict(constraint.when) for constraint in constraints if constraint.kind == "install")

    @cached_property
    def warned_regions(self) -> tuple[dict[str, str], ...]:
        """Regions that break only some training code, as far as a remedy should avoid them.

        They are those of known issues, and those in which a door fails that most people use and that does not matter
        here. One that is there already and that torch takes part in stays: torch is not changed for a warning.
        """
        named = self.combination.named
        issues = [
            issue for issue in self.matrix.issues if issue.severity == "warning" and issue.concerns(self.goal.recipe)
        ]
        regions = [dict(when) for issue in issues for when in issue.when]
        others = tuple(each for door in DEFAULT_DOORS for each in lineage(door) if each not in self._doors)
        constraints = self.matrix.verdicts.constraints_for(
            self.goal.recipe, installed=self.combination.installed, doors=others
        )
        regions += [dict(constraint.when) for constraint in constraints]
        return tuple(when for when in regions if "torch" not in when or not holds(when, named))

    @cached_property
    def conflicts(self) -> tuple[frozenset[str], ...]:
        """Sets of packages of which at least one has to change."""
        named = self.combination.named
        regions = [frozenset(when) for when in self.regions if holds(when, named)]
        unmet = [frozenset((entry.package, entry.dependency)) for entry in self.unmet_after({})]
        wanted = [
            frozenset((name,))
            for name, text in self.goal.wanted.items()
            if name not in named or not contains(text, named[name])
        ]
        missing = [frozenset((name,)) for name in self.missing]
        # The build of torch was chosen for this machine, so the package that is compiled for another one changes.
        mismatch = build_mismatch(self.combination, self.matrix.wheels)
        builds = [frozenset((TORCHVISION,))] if mismatch is not None else []
        known = tuple(dict.fromkeys((*wanted, *missing, *builds, *regions, *unmet)))
        return known or self._suspects

    @property
    def _suspects(self) -> tuple[frozenset[str], ...]:
        """The packages that the reason of an ``unverified`` verdict names, as one set; nothing for other verdicts."""
        judgement = self.judged({})
        if judgement.verdict is not Verdict.UNVERIFIED:
            return ()
        suspects = frozenset(self.combination.versions.keys() & mentioned(judgement.reason))
        return (suspects,) if suspects else ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages of the stack that have no version."""
        return tuple(name for name in STACK_PACKAGES if name not in self.combination.versions)

    def releases(self, package: str) -> tuple[str, ...]:
        """Return the releases of ``package`` that can be installed, the oldest first.

        Of a package whose releases are not known, these are the versions that were measured or that known issues
        recommend.
        """
        known = self.matrix.wheels.releases.get(package)
        if known is not None:
            installable = [text for text in self.matrix.wheels.ordered(package) if self.is_installable(package, text)]
            return tuple(with_build(package, text, self.combination, self.matrix.wheels) for text in installable)
        verdicts = self.matrix.verdicts
        texts = {*verdicts.releases.get(package, ()), *self._recommended.get(package, ())}
        texts.update(companions[package] for companions in verdicts.companions if package in companions)
        return tuple(sorted(texts, key=Version))

    def release_date(self, package: str) -> str:
        """Return the day on which the installed release of a package was uploaded; empty if that is not known."""
        text = self.combination.versions.get(package)
        release = self.matrix.wheels.release(package, text) if text else None
        return release.date if release else ""

    @cached_property
    def _recommended(self) -> dict[str, set[str]]:
        """The lowest versions that the fixes of known issues and the goal ask for, by distribution."""
        texts = [text for issue in self.matrix.issues for fix in issue.fix for text in fix]
        texts += [f"{name}{specifier}" for name, specifier in self.goal.wanted.items()]
        recommended: dict[str, set[str]] = {}
        for text in texts:
            requirement = Requirement(text)
            for clause in requirement.specifier:
                if clause.operator in (">=", "==", "~="):
                    bounds = recommended.setdefault(canonicalize_name(requirement.name), set())
                    bounds.add(clause.version.removesuffix(".*"))
        return recommended

    def is_installable(self, package: str, text: str) -> bool:
        """Return whether a release has a wheel for this Python and was not yanked, as far as that is known."""
        known = self.matrix.wheels.releases.get(package)
        if known is None:
            return True
        python = self.combination.python
        return text in known and not known[text].yanked and (python is None or known[text].supports(python))

    def is_installed(self, package: str, text: str) -> bool:
        """Return whether ``text`` is the version that ``package`` has already."""
        current = self.combination.versions.get(package)
        return current is not None and version(current) == version(text)


def _is_good(judgement: Judgement) -> bool:
    """Return whether versions train by all that is known; a door that was not measured does not count against them."""
    return judgement.verdict in GOOD_VERDICTS or judgement.uncertainty.startswith(DOORS_NOT_MEASURED)
