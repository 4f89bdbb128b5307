"""The facts by which a cause is named, and the thresholds that outcomes and causes share."""

from packaging.version import InvalidVersion, Version

from vc2doctor.core.data import Data
from vc2doctor.probe.facts import ProbeRun, RecipeRun
from vc2doctor.probe.failed_step import BrokenOperation, Float32Values
from vc2doctor.target.shared.recipes import CONTROL, Recipe

MIN_STEP_SHARE = 0.45
"""Share of the adapter weights that one step should change at the project's own width and learning rate; bfloat16
adapters at 2e-5 and width 4096 reach about a half."""
MIN_MOVED_SHARE = 0.1
"""Share of the trainable elements that have to change during the probe's training."""
MIN_VANISHED_SHARE = 0.1
"""Share of the gradient elements that must have underflowed before we name underflow as the cause."""

_HALF_ADAPTERS = (Version("0.7"), Version("0.12"))
"""peft versions that create adapters in the dtype of the base model: matrices/known_issues/peft-half-adapters.toml."""


class Cause(Data):
    """A named cause of a bad outcome: the evidence for it, and what to do."""

    id: str
    description: str
    remedy: str


class Case(Data):
    """All facts about one recipe with a bad outcome."""

    run: RecipeRun
    recipe: Recipe
    probe: ProbeRun

    def version(self, package: str) -> Version | None:
        """Return the version of ``package`` that was imported, or ``None`` if it is unknown."""
        version = next((each.version for each in self.probe.imports if each.package == package), None)
        try:
            return Version(version) if version else None
        except InvalidVersion:
            return None

    @property
    def control_is_good(self) -> bool:
        """Whether float32 trained: then the cause has to do with precision."""
        control = self.probe.recipe(CONTROL)
        return control is not None and all(s.loss is not None and s.parameters_finite for s in control.steps)

    @property
    def error(self) -> str:
        """The message of the exception that ended the training, or an empty text."""
        return self.run.failure.error.message if self.run.failure else ""

    @property
    def broken(self) -> BrokenOperation | None:
        """The first operation that broke, if it was found."""
        return self.run.located.broken if self.run.located else None

    @property
    def compared(self) -> Float32Values | None:
        """What the inputs of the operation that broke are in float32, if that is known."""
        return self.run.located.compared if self.run.located else None

    @property
    def control(self) -> RecipeRun | None:
        """The training in float32."""
        return self.probe.recipe(CONTROL)

    @property
    def rate(self) -> float | None:
        """The learning rate of the probe's steps; ``None``: unknown."""
        return self.run.adapters.learning_rate if self.run.adapters else None

    @property
    def lower_rate(self) -> str | None:
        """The lower learning rate at which the loss falls, in words; ``None``: none was found."""
        change = next((name for name in self.run.experiments if name.startswith("rate-") and self.fixed_by(name)), None)
        if change is None:
            return None
        factor = float(change.removeprefix("rate-"))
        return f"{self.rate * factor:g}" if self.rate is not None else f"{factor:g} of it"

    def fixed_by(self, change: str) -> bool:
        """Return whether the worker tried ``change``, and the bad step succeeded with it."""
        return self.run.experiments.get(change, False)


def peft_origin(case: Case) -> str:
    """Return a clause on the peft that creates half adapters, if such a peft was imported; else nothing."""
    peft = case.version("peft")
    if case.recipe.base != "float16" or peft is None or not _HALF_ADAPTERS[0] <= peft < _HALF_ADAPTERS[1]:
        return ""
    return f"; peft {peft} creates adapters in the dtype of the base model, as all of 0.7 to 0.11 do"
