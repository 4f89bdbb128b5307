"""The facts of one probe run, folded from the worker's events."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from vc2doctor.child import ChildRun
from vc2doctor.data import Data
from vc2doctor.matrix.model import Failure

Count = Annotated[int, Field(ge=0)]

Ending = Literal["finished", "timeout", "signal", "out-of-memory", "exit", "silent", "flood", "interrupted", "protocol"]
"""``exit``: the worker ended before its work was done; ``silent``: it ended, or was ended, without a word."""


class Gradients(Data):
    """The gradients of all trainable tensors after one backward pass, counted by tensor."""

    tensors: Count
    missing: Count
    """No gradient at all: the loss does not depend on it."""
    non_finite: Count
    zero: Count


class Step(Data):
    """One attempt at an optimiser step."""

    step: Count
    loss: FiniteFloat | None
    """``None``: not finite."""
    taken: bool
    """Whether the optimiser's ``step`` ran; a GradScaler skips it without saying so."""
    scale: FiniteFloat | None
    """Of the GradScaler, before the step."""
    gradients: Gradients
    parameters_finite: bool


class Adapters(Data):
    """The trainable parameters as peft made them."""

    dtypes: tuple[str, ...]
    tensors: Count
    elements: Count


class RecipeFailure(Data):
    """What a recipe raised."""

    phase: str
    """``build``, ``forward``, ``backward`` or ``optimizer``."""
    error: Failure
    memory: bool


class RecipeRun(Data):
    """Everything seen of one recipe."""

    recipe: str
    finished: bool = False
    seconds: FiniteFloat | None = None
    unsupported: str | None = None
    adapters: Adapters | None = None
    steps: tuple[Step, ...] = ()
    moved: FiniteFloat | None = None
    """Share of the trainable elements that differ from where they began."""
    failure: RecipeFailure | None = None


class AdapterRun(Data):
    """The adapter's way to disk and back, and a few generated tokens."""

    recipe: str
    done: tuple[str, ...]
    """What went well, of ``save``, ``reload`` and ``generate``."""
    difference: FiniteFloat | None
    """Largest difference of the logits before and after."""
    same: bool
    error: Failure | None
    seconds: FiniteFloat


class Imported(Data):
    """One package of the stack, imported in the target."""

    package: str
    version: str
    file: str | None
    seconds: FiniteFloat


class Device(Data):
    """What torch itself says of its build and of the device that the probe ran on."""

    type: str
    """``cpu``, ``cuda`` (ROCm calls itself so too) or ``mps``."""
    device: str
    name: str | None
    capability: tuple[int, int] | None
    architecture: str | None
    """``gfx942``: AMD's name of the instruction set."""
    torch_cuda: str | None
    torch_hip: str | None
    architectures: tuple[str, ...]
    """What the torch build carries kernels for: ``sm_80``, ``compute_90``."""
    gpus: Count


class ProbeRun(Data):
    """One run of the worker."""

    ending: Ending
    worker: str | None = None
    doing: str
    """What it was at when it ended, in words."""
    imports: tuple[Imported, ...] = ()
    import_package: str | None = None
    """The package whose import failed."""
    import_failure: Failure | None = None
    device: Device | None = None
    device_failure: Failure | None = None
    recipes: tuple[RecipeRun, ...] = ()
    adapter: AdapterRun | None = None
    child: ChildRun
    rubbish: int = 0
    """Events that make no sense."""

    def recipe(self, name: str) -> RecipeRun | None:
        """Return what was seen of the recipe ``name``, if it was begun."""
        return next((run for run in self.recipes if run.recipe == name), None)
