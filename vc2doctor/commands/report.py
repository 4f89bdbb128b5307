"""The report of an examination, as data; its JSON form is versioned by ``schema``."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from vc2doctor.checks.plan import Plan
from vc2doctor.checks.verdict import FinalVerdict
from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.environment.model import Environment
from vc2doctor.findings import Finding
from vc2doctor.linter.settings import AppliedSettings
from vc2doctor.matrix.judge import Judgement
from vc2doctor.probe.facts import (
    AdapterRun,
    Device,
    Ending,
    Headroom,
    ImportedPackage,
    Inspection,
    LoadedModel,
    Measure,
    Operation,
)
from vc2doctor.probe.outcome import RecipeOutcome, SelfTest, Stress


class CodeReading(Data):
    """What was read of training code."""

    path: str | None = None
    """The folder or file, as the user named it; ``None``: nothing was read."""
    findings: tuple[Finding, ...] = ()
    recipes: Mapping[str, str] = Field(default_factory=dict)
    """Entry point → the recipe it trains in, as far as that can be read."""
    precision: str | None = None
    """The recipe to judge by: the one most at risk of those."""
    silenced: int = 0
    """How many places are silenced by comments and per-file ignores, or by rules that are switched off."""
    settings: AppliedSettings | None = None
    """The file of settings that was read for the code."""


class ProbeReport(Data):
    """The probe as the report tells it."""

    ending: Ending
    stage: str
    """What it was at when it ended."""
    seconds: float
    warm_up: float | None
    """Seconds that torch took to import what it puts off until an optimiser is first used."""
    worker: str | None
    imports: tuple[ImportedPackage, ...]
    import_package: str | None
    """The package whose import failed."""
    import_failure: Failure | None
    device: Device | None
    device_failure: Failure | None
    self_test: SelfTest | None
    """``None``: the worker did not come so far."""
    loaded: LoadedModel | None
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
    malformed_events: int
    """Events that made no sense."""


class Report(Data):
    """A whole examination; its JSON form is versioned by ``schema``."""

    schema_: Literal[2] = Field(default=2, alias="schema")
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
