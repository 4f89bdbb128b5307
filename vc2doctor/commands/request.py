"""What every examination is asked: one frozen request from the command line, or from Python, to the command."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.data import Data
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings
from vc2doctor.target.shared.recipes import recipe_named


class ExaminationRequest(Data):
    """What `check` and `probe` have in common."""

    python: str | None = None
    """Interpreter, or folder of an environment; ``None``: the interpreter that runs the doctor."""
    profile: str | None = None
    precision: Annotated[str, AfterValidator(recipe_named)] | None = None
    """The recipe that decides; ``None``: that of the code, else that of the profile."""
    device: str = "auto"
    timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Seconds that the probe may take."""
    require_gpu: bool = False
    fail_on: Severity = Severity.ERROR
    matrix: Path | None = None
    """Folder of a known-good matrix; ``None``: the one that came with the doctor."""
    settings_source: SettingsSource = SettingsSource()
    """Where settings come from, for the code as well."""
    settings: AppliedSettings | None = None
    """The file whose settings are part of this request."""
