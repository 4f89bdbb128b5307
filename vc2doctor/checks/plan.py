"""What the user wants to do. The examination is judged by it."""

from collections.abc import Mapping

from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.invocation import Invocation
from vc2doctor.findings import Severity
from vc2doctor.linter.settings import AppliedSettings


class Plan(Data):
    """What the user wants to do. The examination is judged by it."""

    profile: str
    precision: str
    """The recipe that decides the verdict."""
    device: str
    require_gpu: bool
    probe: bool
    fail_on: Severity
    entry: str | None = None
    """The user's function that builds the model; ``None``: the profile's miniature is trained."""
    checkpoint: str | None = None
    """Weights on disk that replace the miniature."""
    code: str | None = None
    """The training code that was linted as well."""
    code_recipes: Mapping[str, str] = Field(default_factory=dict)
    """Entry point of the code → the recipe that it trains in, if the linter could find it out."""
    code_silenced: int = 0
    """How many findings in the code are silenced: by comments, by per-file ignores, or by rules that are off."""
    doors: tuple[str, ...] = ()
    """The doors that decide the verdict, beside the plain loop: names of ``target/doors``."""
    trains: bool = True
    """Whether training steps are run. The range of a checkpoint can be measured without them."""
    settings: AppliedSettings | None = None
    """The settings file that was read; ``None``: there was none."""
    code_settings: AppliedSettings | None = None
    """The settings file that was read for linting ``code``."""
    invocation: Invocation = Invocation()
    """How the doctor was started: every command that runs it again is built from this."""

    @property
    def custom_subject(self) -> str | None:
        """The user's function or checkpoint that replaces the miniature."""
        return self.entry or self.checkpoint
