"""What ``check``, ``probe`` and ``gate`` are asked: one immutable request travels from the user to the command."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from vc2doctor.checks.plan import Accepted
from vc2doctor.checks.policy import Entries
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.data import Data
from vc2doctor.core.handover import REFUSED
from vc2doctor.core.invocation import Invocation
from vc2doctor.environment.model import TargetChoice
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings
from vc2doctor.target.doors import door_named
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES, recipe_named


class ExaminationRequest(Data):
    """The options that ``check`` and ``probe`` share."""

    verb: ClassVar[str] = "check"
    """The verb whose options these are."""
    python: str | None = None
    """An interpreter, or the folder of a venv; ``None``: the active environment, else the interpreter that runs the
    doctor."""
    target: TargetChoice | None = None
    """The same with its reason, if the command behind the gate chose it."""
    profile: str | None = None
    """``None``: it follows from the code or from the checkpoint, else it is that of a plain language model."""
    precision: Annotated[str, AfterValidator(recipe_named)] | None = None
    """The recipe that decides the verdict; ``None``: the recipe of the code, else that of the profile."""
    learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The rate of the real training; ``None``: the rate that the code names, else that of the profile."""
    doors: tuple[Annotated[str, AfterValidator(door_named)], ...] | None = None
    """The doors that matter; ``None``: those of the code, else the default ones. ``loop`` alone means none."""
    device: str = "auto"
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The time limit of each phase, in seconds; ``None``: each phase has its own default."""
    require_gpu: bool = False
    fail_on: Severity = Severity.ERROR
    matrix: Path | None = None
    """The folder of a known-good matrix; ``None``: the matrix that comes with the doctor."""
    stack_map: bool = False
    """Whether the report shall have the map of transformers and peft for the installed torch, which takes seconds."""
    policy: Entries = Field(default_factory=dict)
    """What the team decided about findings, by id."""
    baseline: Path | None = None
    """A file with the findings that do not count, because they were there before. ``check`` and ``gate`` have an option
    for it."""
    update_baseline: bool = False
    """Whether that file is written with the findings of this run. ``check`` and ``gate`` have an option for it."""
    accept: Accepted | None = None
    """Without a probe: which versions are enough for ``fit``; ``None``: none are."""
    settings_source: SettingsSource = SettingsSource()
    """Which settings file is read; the linter uses it for the code as well."""
    settings: AppliedSettings | None = None
    """The file whose settings this request contains."""
    invocation: Invocation | None = None
    """How the doctor was started; ``None``: from Python, so the options follow from this request."""


class CheckRequest(ExaminationRequest):
    """The options of ``check``."""

    probe: bool = True
    """Whether to train a few real steps; without them the versions alone decide."""
    verify_remedy: bool = False
    """Whether to try the remedy in a fresh environment. This downloads packages."""
    code: Path | None = None
    """Training code. Its contradictions become findings, and its precision decides if none is requested."""


class ProbeRequest(ExaminationRequest):
    """The options of ``probe``."""

    verb: ClassVar[str] = "probe"
    entry: str | None = None
    """``module:function`` or ``file.py:function``: the user's own function; its model replaces the miniature."""
    checkpoint: Path | None = None
    """A folder with safetensors, or a GGUF file, which replaces the miniature."""
    texts: tuple[str, ...] = ()
    data: Path | None = None
    """A file of more texts."""
    train: bool = False
    """Whether to run the recipes on the checkpoint, too. A miniature or a function is always trained."""
    stress: bool = False
    """Whether to plant outliers in the miniature."""
    seed: int = Field(default=0, ge=0)
    attention: tuple[str, ...] = ()
    """The first is used for all recipes; the recipe that decides is trained with each of the others, too."""
    compiled: bool = False
    """Whether the recipe that decides is trained through torch.compile, too."""
    deterministic: bool = False
    """Whether it is trained with deterministic algorithms, too."""
    rl: bool = False
    """Whether to compare trainer and rollout of reinforcement learning."""
    recipes: tuple[str, ...] = DEFAULT_RECIPES


class GateRequest(Data):
    """The options of ``gate``, and the command."""

    command: tuple[str, ...]
    check: CheckRequest = CheckRequest()
    """What to check. An interpreter and code in it count more than those of the command."""
    warn_only: bool = False
    """Whether the command runs whatever the verdict is."""
    refuse_exit: int = REFUSED
    program: tuple[str, ...] = ("vc2doctor",)
    """The words that started the doctor."""
