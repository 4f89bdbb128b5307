"""The facts of one probe run, folded from the worker's events."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from vc2doctor.core.child import ChildRun
from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.core.precision import bits_of

Count = Annotated[int, Field(ge=0)]

Ending = Literal["finished", "timeout", "signal", "out-of-memory", "exit", "silent", "flood", "interrupted", "protocol"]
"""``exit``: the worker ended before its work was done; ``silent``: it ended, or was ended, without a word."""


class Gradients(Data):
    """The gradients of all trainable tensors after one backward pass, counted by tensor."""

    tensors: Count
    missing: Count
    """No gradient at all: the loss does not depend on it."""
    missing_adapters: Count = 0
    first_missing: str | None = None
    non_finite: Count
    first_non_finite: str | None = None
    zero: Count
    """Every element is exactly zero."""


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
    batch: Count = 0
    """Which batch; they take turns."""
    first_bad_parameter: str | None = None
    """The first parameter that is not finite."""


class Adapters(Data):
    """The adapters as peft made them (all trainable parameters, where there are none), and their optimiser."""

    dtypes: tuple[str, ...]
    tensors: Count
    elements: Count
    would_move: dict[str, dict[int, FiniteFloat]] = Field(default_factory=dict)
    """By dtype and fan-in: the share of weights that one AdamW step at the project's learning rate would change."""
    optimizer: str = "AdamW"
    learning_rate: FiniteFloat | None = None
    eps: FiniteFloat | None = None


class BrokenOperation(Data):
    """The first operation with finite inputs and an output that is not finite."""

    phase: str
    """``forward``, ``backward`` or ``optimizer``."""
    module: str
    """Empty in the model's own ``forward``, and outside every module."""
    op: str
    dtype: str
    largest: tuple[FiniteFloat | None, ...]
    """Largest absolute value of each input."""
    exact: FiniteFloat | None = None
    """Largest absolute value of the same operation on the same inputs in a wider dtype; ``None``: it has none."""
    ignored_rows_only: bool | None
    """Whether it broke only in rows that the mask ignores; ``None``: that cannot be told."""


class BreakLocation(Data):
    """Where a step went wrong, seen when it was repeated under watch."""

    step: Count
    phase: str
    broken: BrokenOperation | None
    parameter: str | None
    """The first parameter that is not finite afterwards."""


class PeakValue(Data):
    """The largest absolute value that one operation of one module computes."""

    module: str
    op: str
    largest: Annotated[FiniteFloat, Field(gt=0)]

    @property
    def bits(self) -> float:
        """Headroom in float16: negative where it overflows."""
        return bits_of(self.largest)

    @property
    def description(self) -> str:
        """Where it is, in words."""
        return f"{self.module or 'the model itself'} ({self.op})"


class Operation(Data):
    """An operation of a module."""

    module: str
    op: str

    @property
    def description(self) -> str:
        """Where it is, in words."""
        return f"{self.module or 'the model itself'} ({self.op})"


class Headroom(Data):
    """The range of the activations in one float32 forward pass."""

    tightest: PeakValue
    layers: dict[str, Annotated[FiniteFloat, Field(gt=0)]]
    """Largest absolute value by layer."""


class Inspection(Data):
    """Data and weights before any training."""

    targets: tuple[Count, ...]
    """Positions that the loss counts, by batch."""
    masked_rows: Count
    """Rows in which the attention mask leaves nothing."""
    bad_input: str | None
    bad_weight: str | None
    stored: str = "float32"
    """Narrowest dtype that holds the frozen weights exactly: what the checkpoint was saved in."""
    attention: str | None


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
    vanished: FiniteFloat | None = None
    """Share of the elements with a gradient in float32 whose gradient is exactly zero here, at every step."""
    failure: RecipeFailure | None = None
    located: BreakLocation | None = None
    experiments: dict[str, bool] = Field(default_factory=dict)
    """Whether a change lets the training pass the bad step."""

    @property
    def would_move(self) -> float | None:
        """The least share of the adapters that one step at the project's own width and learning rate would move."""
        widths = self.adapters.would_move.values() if self.adapters else ()
        return min((share for shares in widths for share in shares.values()), default=None)


class SelfTestRun(Data):
    """What was seen of a planted fault, and of its clean twin, by which the instrument is judged."""

    fault: str
    faulty: RecipeRun
    clean: RecipeRun


class StressRun(Data):
    """The recipes on a miniature with planted outliers of documented size: a margin, never a verdict."""

    plant: str
    headroom: Headroom | None = None
    recipes: tuple[RecipeRun, ...] = ()


class NonFiniteTensor(Data):
    """A tensor of a checkpoint that holds NaN or infinity."""

    tensor: str
    values: Count
    """How many of its values are not finite."""
    of: Count


class LoadedModel(Data):
    """A checkpoint that was loaded from disk."""

    architecture: str
    parameters: Count
    dtype: str
    """``bfloat16`` where float32 does not fit into memory."""
    seconds: FiniteFloat
    non_finite: tuple[NonFiniteTensor, ...] = ()
    """The first tensors with values that are not finite."""
    non_finite_tensors: Count = 0
    """How many tensors there are of that kind."""


class Measure(Data):
    """One question that only a device can answer, and its answer."""

    name: str
    status: Literal["measured", "unsupported", "failed"]
    value: FiniteFloat | None = None
    unit: str = ""
    description: str = ""


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


class ImportedPackage(Data):
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
    stage: str
    """What it was at when it ended, in words."""
    imports: tuple[ImportedPackage, ...] = ()
    import_package: str | None = None
    """The package whose import failed."""
    import_failure: Failure | None = None
    device: Device | None = None
    device_failure: Failure | None = None
    recipes: tuple[RecipeRun, ...] = ()
    adapter: AdapterRun | None = None
    loaded: LoadedModel | None = None
    load_failure: Failure | None = None
    warm_up: FiniteFloat | None = None
    """Seconds that torch took to import what it puts off until an optimiser is first used."""
    headroom: Headroom | None = None
    range_broken: Operation | None = None
    """The first operation whose result is not finite in float32; then there is no headroom."""
    headroom_failure: Failure | None = None
    self_test: SelfTestRun | None = None
    inspection: Inspection | None = None
    stress: tuple[StressRun, ...] = ()
    measures: tuple[Measure, ...] = ()
    child: ChildRun
    malformed_events: int = 0
    """Events that make no sense."""

    def recipe(self, name: str) -> RecipeRun | None:
        """Return what was seen of the recipe ``name``, if it was begun."""
        return next((run for run in self.recipes if run.recipe == name), None)
