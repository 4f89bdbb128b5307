"""What a named cause is, and everything that is known of a recipe that went wrong."""

from packaging.version import InvalidVersion, Version

from vc2doctor.core.data import Data
from vc2doctor.probe.facts import BrokenOperation, ProbeRun, RecipeRun
from vc2doctor.target.shared.recipes import CONTROL, Recipe

ENOUGH = 0.45
"""Share of the adapters that one step should move at the project's own width and learning rate; bfloat16 adapters at
2e-5 and width 4096 sit at a half."""
FEW = 0.1
"""Share of the tensors that may get no gradient, and of the elements that must move."""


class Cause(Data):
    """One named cause, what shows that it is the one, and what mends it."""

    id: str
    description: str
    remedy: str


class Case(Data):
    """Everything known of one recipe that went wrong."""

    run: RecipeRun
    recipe: Recipe
    probe: ProbeRun

    def version(self, package: str) -> Version | None:
        """Return the version of ``package`` that was imported."""
        found = next((one.version for one in self.probe.imports if one.package == package), None)
        try:
            return Version(found) if found else None
        except InvalidVersion:
            return None

    @property
    def control_is_good(self) -> bool:
        """Whether float32 trained: then the cause has to do with precision."""
        control = self.probe.recipe(CONTROL)
        return control is not None and all(s.loss is not None and s.parameters_finite for s in control.steps)

    @staticmethod
    def first_loss(run: RecipeRun) -> float | None:
        """Return the loss before any step, if it is finite."""
        return run.steps[0].loss if run.steps else None

    @property
    def error(self) -> str:
        """What was raised, or nothing."""
        return self.run.failure.error.message if self.run.failure else ""

    @property
    def broken(self) -> BrokenOperation | None:
        """The first operation that broke, where one was found."""
        return self.run.located.broken if self.run.located else None

    def fixed_by(self, change: str) -> bool:
        """Return whether this change lets the training pass the bad step."""
        return self.run.experiments.get(change, False)
