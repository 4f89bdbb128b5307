"""The input of every check, and the questions about it that several checks ask."""

from collections.abc import Mapping
from functools import cached_property

from packaging.requirements import Requirement
from pydantic import Field

from vc2doctor.checks.plan import PLAIN, AskedVersion, CodeImport, Plan, SavedFile
from vc2doctor.core.data import OwnData
from vc2doctor.core.failure import Failure
from vc2doctor.core.versions import ADAPTERS, STACK_PACKAGES, contains
from vc2doctor.environment.model import Builds, Environment
from vc2doctor.environment.requirements import declared_names
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.dependents import DependentConflict
from vc2doctor.matrix.age import MatrixAge, age_of
from vc2doctor.matrix.compiled import GPU
from vc2doctor.matrix.coverage import NotJudged, not_judged
from vc2doctor.matrix.judge import Combination, Judgement, judge, nearest_cells
from vc2doctor.matrix.known_issue import KnownIssue
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile
from vc2doctor.matrix.quantization import FormatReadiness, readiness
from vc2doctor.matrix.quantized_formats import Capability
from vc2doctor.probe.doors import DoorOutcome, door_outcomes
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.outcome import RecipeOutcome, outcomes
from vc2doctor.probe.subject_facts import ArchitectureFailure
from vc2doctor.probe.variants import VariantOutcome, variant_outcomes
from vc2doctor.remedies import plan as remedies
from vc2doctor.remedies import requirements
from vc2doctor.remedies.plan import MissingRequirement, VersionPlan, question_of
from vc2doctor.remedies.question import Goal, Question
from vc2doctor.target.doors import DOORS
from vc2doctor.target.shared.recipes import CONTROL, RECIPES, evidence_recipe

_ALWAYS_INSTALLED = ("transformers", "peft", "accelerate")
"""The packages that every measured cell had, with what they need."""
_IMPORTERS = (*_ALWAYS_INSTALLED, "trl")
"""The packages whose requirements training imports. torch imports nothing else that the matrix could judge."""
_NOT_NVIDIA_BUILDS = ("+rocm", "+xpu")
"""Local versions of torch builds for AMD and Intel GPUs."""
_NOT_A_SIGN = ("shrink", "own-code")
"""Stages at which the user's architecture could not be tried, which says nothing about the environment."""


class Examination(OwnData):
    """All facts, and what the user wants to do."""

    environment: Environment
    matrix: Matrix
    profile: Profile
    plan: Plan
    code: tuple[Finding, ...] = ()
    """The linter's findings about the training code, if there is any."""
    asked: Mapping[str, AskedVersion] = Field(default_factory=dict)
    """What the files of the project ask for, by package. It is read where there is code, and where something of the
    stack is missing."""
    imports: tuple[CodeImport, ...] = ()
    """What the programs of the training code import from the packages of the stack."""
    imported: frozenset[str] = frozenset()
    """What the training code imports from any package, as ``module:name``."""
    saved_files: tuple[SavedFile, ...] = ()
    """The local files that the training code loads."""
    dependents: tuple[DependentConflict, ...] = ()
    """What installed packages that build upon the stack use, and the stack lacks."""
    probe: ProbeRun | None = None
    explicit_profile: bool = False
    """Whether the user chose the profile. Installed versions are compared with its pins only then."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """The installed versions by canonical name, without those that do not follow PEP 440."""
        return self.environment.versions

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages of the stack that are not installed, or whose version cannot be read."""
        return tuple(name for name in STACK_PACKAGES if name not in self.versions)

    @property
    def can_train(self) -> bool:
        """Whether all is installed that the training imports."""
        return not self.missing or self.is_without_adapters

    @property
    def is_without_adapters(self) -> bool:
        """Whether only peft is missing, and the code that was read never mentions adapters."""
        return self.missing == (ADAPTERS,) and not self.plan.adapters

    def imports_package(self, name: str) -> bool:
        """Return whether the training code imports a package."""
        return bool(name) and any(each.partition(":")[0].partition(".")[0] == name for each in self.imported)

    @cached_property
    def judgement(self) -> Judgement | None:
        """The matrix's verdict on the combination; ``None`` if a package of the stack is missing."""
        if self.missing:
            return None
        return judge(self.combination, self.matrix, self.plan.precision, self.plan.doors)

    @property
    def not_judged(self) -> NotJudged:
        """The installed packages that the matrix's verdict does not cover."""
        if self.probe is not None and self.probe.distributions is not None:
            imported = frozenset(self.probe.distributions)
        else:
            # What the stack declares stands for what it imports.
            declared = declared_names(self.environment, _IMPORTERS)
            imported = declared.needed | declared.optional
        common = declared_names(self.environment, _ALWAYS_INSTALLED).needed
        return not_judged(self.versions, imported, self.matrix, common=common)

    @property
    def matrix_age(self) -> MatrixAge:
        """The dates of the matrix, with the installed versions that are newer than it."""
        return age_of({name: text for name, text in self.versions.items() if name in STACK_PACKAGES}, self.matrix)

    def question(
        self,
        *,
        wanted: Mapping[str, str] | None = None,
        avoided: tuple[str, ...] = (),
        more_doors: tuple[str, ...] = (),
    ) -> Question:
        """Return the question which versions to change: all conflicts at once, and further goals if there are any."""
        doors = (*self.plan.doors, *more_doors)
        goal = Goal(
            recipe=evidence_recipe(self.plan.precision),
            doors=doors,
            wanted=dict(wanted or {}),
            avoided=avoided,
            left_out=(ADAPTERS,) if self.is_without_adapters else (),
            asked={name: each.specifier for name, each in self.asked.items()},
        )
        return question_of(self.environment, self.combination, self.matrix, goal)

    @cached_property
    def version_plan(self) -> VersionPlan:
        """The one plan that resolves all conflicts of versions; every check prints it.

        Versions that an exception of the probe asks for are part of it, except for packages whose conflict the matrix
        knows: the exception names one way out of it, and the matrix all of them ("pyarrow requires NumPy 2.0" also
        means that an older pyarrow works).
        """
        if self.environment.failure is not None:
            return VersionPlan()
        plain = self.question()
        known: frozenset[str] = frozenset()
        if not plain.is_solved_by({}):
            known = known.union(*plain.conflicts)
        wanted = self._wanted_versions(known) if self.failures else {}
        missing = [
            MissingRequirement(requirement, failure.package)
            for failure in self.failures
            if (requirement := self.undeclared(failure)) is not None
        ]
        return remedies.plan(self.environment, self.question(wanted=wanted), missing=missing)

    def _wanted_versions(self, known: frozenset[str]) -> dict[str, str]:
        """Return the specifiers that the exceptions of the probe ask for, except for the ``known`` packages."""
        from vc2doctor.remedies.observed import wanted_versions  # noqa: PLC0415 - its patterns are slow to compile

        return {
            name: specifier
            for failure in self.failures
            for name, specifier in wanted_versions(failure, self.versions).items()
            if name not in known and not contains(specifier, self.versions[name])
        }

    def missing_requirement(self, failure: Failure) -> str | None:
        """Return the requirement that brings the module which ``failure`` misses; ``None``: it misses no module."""
        if failure.missing is None or failure.missing.symbol is not None:
            return None
        from vc2doctor.remedies.observed import requirement_for  # noqa: PLC0415 - as in `_wanted_versions`

        return requirement_for(failure.missing.module, self.versions)

    def undeclared(self, failure: Failure) -> str | None:
        """Return the missing requirement of ``failure``, if no installed package declares it."""
        wanted = self.missing_requirement(failure)
        names = {entry.name for entry in requirements.declared(self.environment)}
        return wanted if wanted is not None and Requirement(wanted).name not in names else None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The exceptions that stopped an import, the control, the recipe that decides, the adapter, or a door."""
        if self.probe is None:
            return ()
        recipes = [self.probe.recipe(name) for name in (CONTROL, self.plan.precision)]
        of_recipes = [run.failure.error for run in recipes if run is not None and run.failure is not None]
        adapter = self.probe.adapter.error if self.probe.adapter else None
        of_doors = [outcome.error for outcome in self.doors if outcome.matters and outcome.outcome == "failed"]
        found = [self.probe.import_failure, *of_recipes, adapter, *of_doors]
        return tuple(failure for failure in found if failure is not None)

    @property
    def nearest_cells(self) -> tuple[str, ...]:
        """Descriptions of the nearest measured cells; none if a package of the stack is missing."""
        if self.missing:
            return ()
        return tuple(nearest_cells(self.combination, self.matrix.verdicts, self.plan.precision))

    @property
    def combination(self) -> Combination:
        """The installed combination, as the matrix judges it."""
        versions = {**self.versions, GPU: "1"} if self._may_have_a_gpu else self.versions
        types = self.plan.judged_as.model_types
        read = self.environment.of(Builds)
        return Combination(
            python=self.environment.interpreter.minor,
            versions=versions,
            builds=read.by_package if read is not None else {},
            model_types=types,
        )

    @property
    def _may_have_a_gpu(self) -> bool:
        """Whether there is a GPU, or may be one that the doctor cannot see: NVML knows NVIDIA's only."""
        environment = self.environment
        is_built_for_another = any(build in self.versions.get("torch", "") for build in _NOT_NVIDIA_BUILDS)
        return bool(environment.nvidia.gpus) or is_built_for_another or environment.platform.system == "Darwin"

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """The compute capabilities of the NVIDIA GPUs that training would use; empty: none is known."""
        device = self.probe.device if self.probe else None
        if device is not None:
            # torch itself says what it trains on; an AMD GPU has a number as well, which means something else.
            is_nvidia = device.type == "cuda" and device.torch_hip is None
            return (device.capability,) if is_nvidia and device.capability is not None else ()
        gpus = self.environment.nvidia.gpus if self.plan.device != "cpu" else ()
        if self.plan.device.startswith("cuda:"):
            index = int(self.plan.device.partition(":")[2])
            gpus = gpus[index : index + 1]
        return tuple(gpu.capability for gpu in gpus if gpu.capability is not None)

    @cached_property
    def quantized(self) -> tuple[FormatReadiness, ...]:
        """What is known of the quantized and FP8 formats of the installed packages, and of those that are used."""
        if self.environment.failure is not None:
            return ()
        used = {*self.plan.formats, *(("bitsandbytes-4bit",) if RECIPES[self.plan.precision].quantized else ())}
        return readiness(self.versions, self.capabilities, frozenset(used))

    @property
    def architecture_failure(self) -> ArchitectureFailure | None:
        """Why the probe trained a plain language model instead of the model that the code names."""
        return self.probe.architecture_failure if self.probe else None

    @property
    def _users_model_failed(self) -> bool:
        failure = self.architecture_failure
        if failure is None or failure.stage in _NOT_A_SIGN:
            return False
        # A type that no release of transformers has may be one that the user's own code registers.
        types = self.plan.judged_as.model_types
        return failure.stage != "unknown" or any(self.matrix.architectures.first_release(name) for name in types)

    @property
    def judged_as(self) -> str:
        """What the verdict is about, and why."""
        judged_as = self.plan.judged_as
        if self.architecture_failure is not None:
            return f"{PLAIN.subject}; {judged_as.subject} itself was not trained, see VC023"
        size = " with two layers" if self.probe is not None and self.probe.architecture is not None else ""
        return f"{judged_as.subject}{size} ({judged_as.reason})"

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
        """The recipes that trained here and may be recommended; the float32 control is not one of them.

        They train what the recipe that decides trains: adapters are no remedy for someone who trains every weight.
        """
        kind = RECIPES[self.plan.precision].kind
        finite = (outcome.recipe for outcome in self.outcomes if outcome.outcome == "finite")
        return tuple(
            name for name in finite if name != CONTROL and RECIPES[name].kind == kind and RECIPES[name].advised
        )

    @property
    def issues(self) -> tuple[KnownIssue, ...]:
        """The known issues that apply to what is installed, without those of other models than the one trained."""
        types = self.plan.judged_as.model_types
        installed = (issue for issue in self.matrix.issues if not issue.doors and issue.applies_to(self.versions))
        return tuple(issue for issue in installed if issue.is_of(types) is not False)

    @cached_property
    def doors(self) -> tuple[DoorOutcome, ...]:
        """The outcome at every door that the probe opened."""
        return door_outcomes(self.probe) if self.probe else ()

    @property
    def passed_all_doors(self) -> bool:
        """Whether the probe trained through every door that matters.

        A door of the user's architecture asks for a detail. It says no without a passed step only if it fails, and that
        is an error.
        """
        passed = {outcome.door for outcome in self.doors if outcome.outcome == "passed"}
        return passed.issuperset(name for name in self.plan.doors if not DOORS[name].needs_architecture)

    @cached_property
    def variants(self) -> tuple[VariantOutcome, ...]:
        """The outcome in every other way to train that the probe tried."""
        return variant_outcomes(self.probe) if self.probe else ()

    @property
    def passed_all_variants(self) -> bool:
        """Whether the recipe that decides trained in every way that the user asked for."""
        passed = {variant.variant for variant in self.variants if variant.trains(self.plan.precision)}
        return passed.issuperset(self.plan.variants)

    @property
    def trained(self) -> bool:
        """Whether the probe trained in the plain loop under the control and under the recipe that decides, to the end.

        The doors are a question of their own: see ``passed_all_doors``.
        """
        needed = (self.outcome(CONTROL), self.outcome(self.plan.precision))
        are_finite = all(outcome is not None and outcome.outcome == "finite" for outcome in needed)
        adapter = self.probe.adapter if self.probe else None
        if self._users_model_failed:
            # That another model trains does not outweigh it.
            return False
        # The worker saves and reloads the adapter of the miniature only: a user's function may have none.
        has_no_adapter = self.plan.custom_subject is not None or not self.plan.adapters
        return are_finite and (has_no_adapter or (adapter is not None and adapter.same))
