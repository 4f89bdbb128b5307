"""What the examination ends in: findings, and the report that holds them."""

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from pydantic import Field

from vc2doctor.data import Data
from vc2doctor.environment.model import Environment
from vc2doctor.matrix.judge import Judgement
from vc2doctor.matrix.model import Failure
from vc2doctor.probe.model import AdapterRun, Device, Ending, Headroom, Imported, Inspection, Loaded, Measure, Operation
from vc2doctor.probe.outcome import RecipeOutcome, SelfTest, Stress


class Severity(str, Enum):
    """How much a finding weighs; ``rank`` orders them."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 2 for an error."""
        return list(Severity).index(self)


class Finding(Data):
    """One thing that is wrong or worth knowing, with its evidence and what mends it."""

    id: str = Field(pattern=r"^VC\d{3}$")
    severity: Severity
    message: str
    evidence: tuple[str, ...]
    """What was seen, each a sentence or a quotation."""
    remedy: str
    """What to do, in words."""
    commands: tuple[str, ...] = ()
    """Commands to paste that do it; where there are several, each is an alternative."""
    url: str
    path: str | None = None
    line: int | None = None


FinalVerdict = Literal["fit", "unfit", "measured", "unproven", "incomplete"]
"""``measured``: no training was asked for, and what was measured shows no fault;
``unproven``: no fault was found, but neither a probe nor a measurement shows that it trains;
``incomplete``: the doctor could not finish its examination."""


class AppliedSettings(Data):
    """A file of settings, and what became of its keys."""

    file: str
    applied: tuple[str, ...] = ()
    """Keys that count, as the file spells them; those of ``[tool.vc2doctor.lint]`` begin with ``lint.``."""
    ignored: tuple[str, ...] = ()
    """Keys that do not count, because the file was found and not named: see VC021."""

    def chose(self, *keys: str) -> tuple[str, ...]:
        """Return those of ``keys`` that the file decided."""
        return tuple(key for key in keys if key in self.applied)


class Plan(Data):
    """What the user means to do, which is what the examination decides by."""

    profile: str
    precision: str
    """The recipe that decides."""
    device: str
    require_gpu: bool
    probe: bool
    fail_on: Severity
    entry: str | None = None
    """The user's function that gives what is trained; ``None``: the profile's miniature."""
    checkpoint: str | None = None
    """Weights on disk that are looked at instead of the miniature."""
    code: str | None = None
    """Training code that was read as well."""
    code_recipes: Mapping[str, str] = Field(default_factory=dict)
    """Entry point of the code → the recipe it trains in, as far as that can be read."""
    code_silenced: int = 0
    """How many places in the code are silenced by comments and per-file ignores, or by rules that are switched off."""
    trains: bool = True
    """Whether steps are taken; a checkpoint's range can be measured without."""
    settings: AppliedSettings | None = None
    """The file of settings that was read; ``None``: none has any."""
    code_settings: AppliedSettings | None = None
    """The same for the linter's settings of ``code``."""

    @property
    def own(self) -> str | None:
        """What the user named to be looked at instead of the miniature."""
        return self.entry or self.checkpoint


class ProbeReport(Data):
    """The probe as the report tells it."""

    ending: Ending
    doing: str
    """What it was at when it ended."""
    seconds: float
    warm_up: float | None
    """Seconds that torch took to import what it puts off until an optimiser is first used."""
    worker: str | None
    imports: tuple[Imported, ...]
    import_package: str | None
    """The package whose import failed."""
    import_failure: Failure | None
    device: Device | None
    device_failure: Failure | None
    self_test: SelfTest | None
    """``None``: the worker did not come so far."""
    loaded: Loaded | None
    """The checkpoint, where one was loaded."""
    load_failure: Failure | None
    inspection: Inspection | None
    headroom: Headroom | None
    range_broken: Operation | None
    """The first operation whose result is not finite in float32; then there is no headroom."""
    recipes: tuple[RecipeOutcome, ...]
    stress: tuple[Stress, ...]
    """Planted outliers of documented size: margins, never the environment's verdict."""
    measures: tuple[Measure, ...]
    """What was asked of the GPU itself."""
    not_measured: tuple[str, ...]
    """What only a GPU can say, where the probe ran on none."""
    adapter: AdapterRun | None
    rubbish: int
    """Events that made no sense."""


class Report(Data):
    """A whole examination; its JSON form is versioned by ``schema``."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    doctor: str
    """Version of vc2doctor."""
    verdict: FinalVerdict
    exit_code: int
    plan: Plan
    environment: Environment
    combination: Judgement | None
    """``None``: a package of the stack is missing."""
    probe: ProbeReport | None
    """``None``: none was run."""
    findings: tuple[Finding, ...]
    """The heaviest first, then by id."""
    seconds: float
