"""The report on an examination, as data. The key ``schema`` is the version of its JSON form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vc2doctor.checks.plan import CodeImport, Plan
from vc2doctor.checks.verdict import FinalVerdict
from vc2doctor.core.data import Data, OwnData
from vc2doctor.core.failure import Failure
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Finding, WaivedFinding
from vc2doctor.linter.settings import AppliedSettings
from vc2doctor.matrix.age import MatrixAge
from vc2doctor.matrix.coverage import NotJudged
from vc2doctor.matrix.judge import Judgement
from vc2doctor.matrix.quantization import FormatReadiness
from vc2doctor.matrix.stack_map import StackMap
from vc2doctor.probe.doors import DoorOutcome
from vc2doctor.probe.facts import AdapterRun, Device, Ending, Headroom, ImportedPackage, Measure, Operation
from vc2doctor.probe.gradient_range import GradientRange
from vc2doctor.probe.log_ratio import LogRatios
from vc2doctor.probe.outcome import RecipeOutcome, SelfTest, Stress
from vc2doctor.probe.scaled_formats import ScaledWeights
from vc2doctor.probe.subject_facts import Architecture, ArchitectureFailure, Inspection, LoadedModel
from vc2doctor.probe.variants import VariantOutcome
from vc2doctor.remedies.plan import VersionPlan


class CodeModel(Data):
    """A model that the training code names."""

    name: str
    """A name on the Hub, a path, or a class."""
    is_class: bool
    is_defined: bool = False
    """Whether the project defines the class."""
    place: str
    """``path:line``, relative to ``CodeReading.root``."""


class CodeFile(Data):
    """Something that the training code loads by a name that may be a local path."""

    kind: Literal["model", "tokenizer", "adapter", "checkpoint", "data", "data-folder"]
    loader: str
    """The class that loads it, such as ``AutoTokenizer``; empty: it is not known."""
    name: str
    """As it is written."""
    path: str
    """The file of the code, relative to ``CodeReading.root``."""
    line: int


class CodeReading(OwnData):
    """What the linter found out about the training code."""

    path: str | None = None
    """The folder or file, as the user passed it; ``None``: no code was read."""
    findings: tuple[Finding, ...] = ()
    recipes: Mapping[str, str] = Field(default_factory=dict)
    """Entry point → the recipe that it trains in, if the linter could find it out."""
    precision: str | None = None
    """The recipe to judge by: of ``recipes``, the one that fails most often."""
    learning_rate: float | None = None
    """The learning rate that it names, if it names one."""
    doors: tuple[str, ...] = ()
    """The doors of ``target/doors`` that the code goes through."""
    use: Mapping[str, Any] = Field(default_factory=dict)
    """What it does there: the fields of ``target/shared/code_use.py``."""
    formats: tuple[str, ...] = ()
    """The quantized and FP8 formats that it uses: ids of ``matrix/quantized_formats.py``."""
    silenced: int = 0
    """How many findings are silenced: by comments, by per-file ignores, or by rules that are off."""
    unread: tuple[str, ...] = ()
    """What the linter could not understand, in sentences."""
    settings: AppliedSettings | None = None
    """The settings file that was read for the code."""
    root: Path = Path()
    """The folder that the places of ``models`` are relative to."""
    models: tuple[CodeModel, ...] = ()
    """The models that the code names, those that most likely decide first."""
    imports: tuple[CodeImport, ...] = ()
    """What its programs import from the packages of the stack, whenever they run."""
    imported: frozenset[str] = frozenset()
    """What its files import at the top of a module, as ``module:name``."""
    loads: tuple[CodeFile, ...] = ()
    """What its programs load by a name that may be a local path."""
    mentions_adapters: bool = True
    """Whether a file that was read mentions peft, LoRA or adapters. It is also true where no code was read."""


class ProbeReport(OwnData):
    """The result of the probe."""

    ending: Ending
    stage: str
    """What it was doing when it ended."""
    seconds: float
    warm_up: float | None
    """Seconds that torch needed to import what it imports only when an optimizer is first used."""
    worker: str | None
    imports: tuple[ImportedPackage, ...]
    import_package: str | None
    """The package whose import failed."""
    import_failure: Failure | None
    device: Device | None
    device_failure: Failure | None
    self_test: SelfTest | None
    """``None``: the worker ended before its self-test."""
    loaded: LoadedModel | None
    """The checkpoint, if one was loaded."""
    load_failure: Failure | None
    inspection: Inspection | None
    architecture: Architecture | None
    """The user's architecture, trained with two layers; ``None``: the profile's miniature, or the user's own model."""
    architecture_failure: ArchitectureFailure | None
    """Why a plain language model was trained instead of the user's architecture."""
    headroom: Headroom | None
    gradients: GradientRange | None
    """The gradients of one backward pass of the user's checkpoint; ``None``: it was not measured."""
    gradients_unmeasured: str | None
    """Why it could not be measured, as a clause."""
    log_ratios: LogRatios | None
    """How far trainer and rollout of reinforcement learning disagree, if that was asked for."""
    scaled: ScaledWeights | None
    """What FP8, MXFP8 and NVFP4 make of the weights of the user's checkpoint; ``None``: it was not measured."""
    range_broken: Operation | None
    """The first operation whose result is not finite in float32. There is no headroom then."""
    recipes: tuple[RecipeOutcome, ...]
    stress: tuple[Stress, ...]
    """Results with planted outliers of documented size. They are margins and do not affect the verdict."""
    variants: tuple[VariantOutcome, ...]
    """The deciding recipe and the control, trained in the other ways that were asked for."""
    measures: tuple[Measure, ...]
    """Measurements on the GPU itself."""
    not_measured: tuple[str, ...]
    """What only a GPU can show, if the probe ran without one."""
    doors: tuple[DoorOutcome, ...]
    """The ways into the stack beside the plain loop: trained through, or imported only."""
    not_tried: tuple[str, ...]
    """What people train through and the probe did not, in words."""
    distributions: tuple[str, ...]
    """The distributions of which a module was imported, by canonical name."""
    adapter: AdapterRun | None
    malformed_events: int
    """Events of the worker that could not be understood."""


class RemedyTrial(Data):
    """The remedy, tried in a fresh environment."""

    outcome: Literal["trains", "fails", "not built", "no remedy"]
    """``fails``: it was built, and the probe does not call it fit. ``no remedy``: there is no change to try."""
    changes: Mapping[str, str] = Field(default_factory=dict)
    """The changed versions by distribution."""
    verdict: FinalVerdict | None = None
    """The verdict on the fresh environment; ``None``: it was not built."""
    errors: tuple[str, ...] = ()
    """What went wrong: the end of the installer's output, or the errors that were found."""
    seconds: float = 0.0


class Gate(Data):
    """What the gate decided about the command behind it."""

    starts: str
    """What the command starts: ``torchrun train.py``. Its other words are left out, because they can hold secrets."""
    decision: Literal["run", "refuse"]
    reason: str
    refuse_exit: int
    """The exit code of a refusal."""
    unread: tuple[str, ...] = ()
    """What could not be read of the command, in sentences. The verdict does not cover it."""


class Kept(Data):
    """Says that an answer is not new: nothing that it depends on has changed since."""

    examined: str
    """When the environment was examined, in UTC: ``2026-11-28T14:02:07+00:00``."""
    age_seconds: float


class Report(OwnData):
    """The complete report on an examination. The key ``schema`` is the version of its JSON form."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    doctor: str
    """The version of vc2doctor."""
    verdict: FinalVerdict
    exit_code: int
    judged_as: str
    """What the verdict is about, and why: ``plain language model (no code given)``."""
    plan: Plan
    environment: Environment
    combination: Judgement | None
    """The verdict of the matrix; ``None``: a package of the stack is missing."""
    not_judged: NotJudged
    """The installed packages that this verdict does not cover."""
    quantized: tuple[FormatReadiness, ...] = ()
    """The quantized and FP8 formats of the installed packages, and those that the code uses: what trains here."""
    matrix: MatrixAge
    """How old the matrix is."""
    probe: ProbeReport | None
    """``None``: no probe was run."""
    findings: tuple[Finding, ...]
    """Errors first, then by id."""
    stack_map: StackMap | None = None
    """Where the environment is among all releases of the stack; ``None``: it was not requested, or a package of the
    stack is missing."""
    waived: tuple[WaivedFinding, ...] = ()
    """What a policy or a baseline made lighter or silenced."""
    version_plan: VersionPlan | None = None
    """The change of versions that resolves all conflicts; ``None``: none is known."""
    remedy_trial: RemedyTrial | None = None
    """``None``: it was not requested."""
    gate: Gate | None = None
    """``None``: there is no command that the verdict decides about."""
    kept: Kept | None = None
    """``None``: the answer is new. Else it is from the cache, and ``seconds`` is what the examination took then."""
    seconds: float

    @property
    def refusing_ids(self) -> tuple[str, ...]:
        """The ids of the findings at or above ``--fail-on``, each once."""
        heavy = (each.id for each in self.findings if each.severity.rank >= self.plan.fail_on.rank)
        return tuple(dict.fromkeys(heavy))
