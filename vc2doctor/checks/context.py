"""The input of every check, and the questions about it that several checks ask."""

from collections.abc import Mapping
from functools import cached_property

from vc2doctor.checks.plan import Plan
from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.core.versions import STACK_PACKAGES, contains
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.compiled import GPU
from vc2doctor.matrix.judge import Combination, Judgement, judge, nearest_cells
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.remedies import plan as remedies
from vc2doctor.remedies.observed import wanted_versions
from vc2doctor.remedies.plan import VersionPlan, question_of
from vc2doctor.remedies.question import Goal, Question
from vc2doctor.target.shared.recipes import CONTROL, RECIPES

_NOT_NVIDIA_BUILDS = ("+rocm", "+xpu")
"""Local versions of torch builds for AMD and Intel GPUs."""


class Examination(Data):
    """All facts, and what the user wants to do."""

    environment: Environment
    matrix: Matrix
    profile: Profile
    plan: Plan
    code: tuple[Finding, ...] = ()
    """The linter's findings about the training code, if there is any."""
    probe: ProbeRun | None = None
    explicit_profile: bool = False
    """Whether the user chose the profile. Installed versions are compared with its pins only then."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """The installed versions by canonical name, without those that do not follow PEP 440."""
        versions: dict[str, str] = {}
        for distribution in self.environment.distributions:
            if distribution.version is not None and distribution.parsed is not None:
                # Python imports the first of two distributions with one name.
                versions.setdefault(distribution.name, distribution.version)
        return versions

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages of the stack that are not installed, or whose version cannot be read."""
        return tuple(name for name in STACK_PACKAGES if name not in self.versions)

    @cached_property
    def judgement(self) -> Judgement | None:
        """The matrix's verdict on the combination; ``None`` if a package of the stack is missing."""
        if self.missing:
            return None
        return judge(self.combination, self.matrix, self.plan.precision)

    def question(self, *, wanted: Mapping[str, str] | None = None, avoided: tuple[str, ...] = ()) -> Question:
        """Return the question which versions to change: all conflicts at once, and further goals if there are any."""
        goal = Goal(recipe=self.plan.precision, wanted=dict(wanted or {}), avoided=avoided)
        return question_of(self.environment, self.combination, self.matrix, goal)

    @cached_property
    def version_plan(self) -> VersionPlan:
        """The one plan that resolves all conflicts of versions; every check prints it.

        Versions that an exception of the probe asks for are part of it.
        """
        wanted = {
            name: specifier
            for failure in self.failures
            for name, specifier in wanted_versions(failure, self.versions).items()
            if not contains(specifier, self.versions[name])
        }
        return remedies.plan(self.environment, self.question(wanted=wanted))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The exceptions that stopped an import, the control, the recipe that decides, or the adapter."""
        if self.probe is None:
            return ()
        recipes = [self.probe.recipe(name) for name in (CONTROL, self.plan.precision)]
        of_recipes = [run.failure.error for run in recipes if run is not None and run.failure is not None]
        adapter = self.probe.adapter.error if self.probe.adapter else None
        found = [self.probe.import_failure, *of_recipes, adapter]
        return tuple(failure for failure in found if failure is not None)

    @property
    def nearest_cells(self) -> tuple[str, ...]:
        """Descriptions of the nearest measured cells; none if a package of the stack is missing."""
        return tuple(nearest_cells(self.combination, self.matrix.verdicts, self.plan.precision))

    @property
    def combination(self) -> Combination:
        """The installed combination, as the matrix judges it."""
        versions = {**self.versions, GPU: "1"} if self._may_have_a_gpu else self.versions
        return Combination(python=self.environment.interpreter.minor, versions=versions)

    @property
    def _may_have_a_gpu(self) -> bool:
        """Whether there is a GPU, or may be one that the doctor cannot see: NVML knows NVIDIA's only."""
        environment = self.environment
        is_built_for_another = any(build in self.versions.get("torch", "") for build in _NOT_NVIDIA_BUILDS)
        return bool(environment.nvidia.gpus) or is_built_for_another or environment.platform.system == "Darwin"

    @cached_property
    def outcomes(self) -> tuple[RecipeOutcome, ...]:
        """The outcome of every recipe that the probe started."""
        return outcomes(self.probe) if self.probe else ()

    def outcome(self, recipe: str) -> RecipeOutcome | None:
        """Return the outcome of ``recipe``; ``None`` if the probe did not start it."""
        return next((outcome for outcome in self.outcomes if outcome.recipe == recipe), None)

    def capped_if_trained(self, severity: Severity) -> Severity:
        """Return ``severity``, or at most a warning if the probe trained here.

        Training that was seen to work outweighs a sign that it might not.
        """
        if self.trained and severity is Severity.ERROR:
            return Severity.WARNING
        return severity

    @property
    def good_recipes(self) -> tuple[str, ...]:
        """The recipes that trained here and may be recommended; the float32 control is not one of them."""
        finite = (outcome.recipe for outcome in self.outcomes if outcome.outcome == "finite")
        return tuple(name for name in finite if name != CONTROL and RECIPES[name].advised)

    @property
    def issues(self) -> tuple[KnownIssue, ...]:
        """The known issues that apply to what is installed."""
        return tuple(issue for issue in self.matrix.issues if issue.applies_to(self.versions))

    @property
    def trained(self) -> bool:
        """Whether the probe trained under the control and under the recipe that decides, to the end."""
        needed = (self.outcome(CONTROL), self.outcome(self.plan.precision))
        are_finite = all(outcome is not None and outcome.outcome == "finite" for outcome in needed)
        adapter = self.probe.adapter if self.probe else None
        # The worker saves and reloads the adapter of the miniature only: a user's function may have none.
        return are_finite and (self.plan.custom_subject is not None or (adapter is not None and adapter.same))
