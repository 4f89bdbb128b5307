"""What every check looks at, and the few questions that several of them ask of it."""

from functools import cached_property

from packaging.version import InvalidVersion, Version

from vc2doctor.checks.plan import Plan
from vc2doctor.core.data import Data
from vc2doctor.environment.model import STACK_PACKAGES, Environment
from vc2doctor.findings import Finding, Severity
from vc2doctor.matrix.compiled import GPU
from vc2doctor.matrix.judge import Combination, Judgement, judge, nearest_cells
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.target.shared.recipes import CONTROL, RECIPES


class Examination(Data):
    """All facts, and what the user means to do."""

    environment: Environment
    matrix: Matrix
    profile: Profile
    plan: Plan
    code: tuple[Finding, ...] = ()
    """What the linter says of the training code, where it was asked."""
    probe: ProbeRun | None = None
    explicit_profile: bool = False
    """The user named the profile; otherwise it only says which precision decides."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """Installed versions by canonical name; those that are not PEP 440 versions are left out."""
        found: dict[str, str] = {}
        for distribution in self.environment.distributions:
            if distribution.version and _is_version(distribution.version):
                found.setdefault(distribution.name, distribution.version)
        return found

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages of the stack that are not installed, or whose version cannot be read."""
        return tuple(name for name in STACK_PACKAGES if name not in self.versions)

    @cached_property
    def judgement(self) -> Judgement | None:
        """The matrix's verdict on the combination; ``None`` where a package of the stack is missing."""
        if self.missing:
            return None
        return judge(self.combination, self.matrix, self.plan.precision)

    @property
    def nearest_cells(self) -> tuple[str, ...]:
        """The nearest measured cells, in words; none where a package of the stack is missing."""
        return tuple(nearest_cells(self.combination, self.matrix.verdicts, self.plan.precision))

    @property
    def combination(self) -> Combination:
        """What is installed together, as far as the matrix cares."""
        versions = {**self.versions, GPU: "1"} if self._may_have_a_gpu else self.versions
        return Combination(python=self.environment.interpreter.minor, versions=versions)

    @property
    def _may_have_a_gpu(self) -> bool:
        """Whether there is a GPU, or nobody looked for one of its kind: NVML knows NVIDIA's only."""
        environment = self.environment
        other = any(kind in self.versions.get("torch", "") for kind in ("+rocm", "+xpu"))
        return bool(environment.nvidia.gpus) or other or environment.platform.system == "Darwin"

    @cached_property
    def outcomes(self) -> tuple[RecipeOutcome, ...]:
        """The outcome of every recipe that the probe began."""
        return outcomes(self.probe) if self.probe else ()

    def outcome(self, recipe: str) -> RecipeOutcome | None:
        """Return the outcome of one recipe."""
        return next((found for found in self.outcomes if found.recipe == recipe), None)

    def capped_if_trained(self, severity: Severity) -> Severity:
        """Return ``severity``, or at most a warning where the probe trained here: a deed outweighs a sign."""
        return min(severity, Severity.WARNING, key=lambda one: one.rank) if self.trained else severity

    @property
    def good_recipes(self) -> tuple[str, ...]:
        """The recipes that trained here and may be recommended; the control is none."""
        good = (found.recipe for found in self.outcomes if found.outcome == "finite" and found.recipe != CONTROL)
        return tuple(name for name in good if RECIPES[name].advised)

    @property
    def issues(self) -> tuple[KnownIssue, ...]:
        """The known issues that apply to what is installed."""
        return tuple(issue for issue in self.matrix.issues if issue.applies_to(self.versions))

    @property
    def trained(self) -> bool:
        """Whether the probe trained under the recipe that decides, here, to the end."""
        control, wanted = self.outcome(CONTROL), self.outcome(self.plan.precision)
        finite = all(found is not None and found.outcome == "finite" for found in (control, wanted))
        adapter = self.probe.adapter if self.probe else None
        # What a user's own function gives has no adapter that the worker could save, and a checkpoint's is not saved.
        return finite and (self.plan.custom_subject is not None or (adapter is not None and adapter.same))


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
