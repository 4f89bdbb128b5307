"""The options that ``check`` and ``probe`` share: one immutable request travels from the user to the command."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.data import Data
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings
from vc2doctor.target.doors import door_named
from vc2doctor.target.shared.recipes import recipe_named


class ExaminationRequest(Data):
    """The options that ``check`` and ``probe`` share."""

    verb: ClassVar[str] = "check"
    """The verb whose options these are."""
    python: str | None = None
    """An interpreter, or the folder of a venv; ``None``: the active environment, else the interpreter that runs the
    doctor."""
    profile: str | None = None
    """``None``: it follows from the code or from the checkpoint, else it is that of a plain language model."""
    precision: Annotated[str, AfterValidator(recipe_named)] | None = None
    """The recipe that decides the verdict; ``None``: the recipe of the code, else that of the profile."""
    doors: tuple[Annotated[str, AfterValidator(door_named)], ...] | None = None
    """The doors that matter; ``None``: those of the code, else the default ones. ``loop`` alone means none."""
    device: str = "auto"
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The time limit of each phase, in seconds; ``None``: each phase has its own default."""
    require_gpu: bool = False
    fail_on: Severity = Severity.ERROR
    matrix: Path | None = None
    """The folder of a known-good matrix; ``None``: the matrix that comes with the doctor."""
    settings_source: SettingsSource = SettingsSource()
    """Which settings file is read; the linter uses it for the code as well."""
    settings: AppliedSettings | None = None
    """The file whose settings this request contains."""
    invocation: Invocation | None = None
    """How the doctor was started; ``None``: from Python, so the options follow from this request."""
