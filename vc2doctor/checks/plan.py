"""What the user means to do, which is what the examination decides by."""

from collections.abc import Mapping

from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings


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
    def custom_subject(self) -> str | None:
        """What the user named to be looked at instead of the miniature."""
        return self.entry or self.checkpoint
