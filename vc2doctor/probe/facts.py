"""The facts of one probe run, as the worker reported them in its events."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from vc2doctor.core.child import ChildRun
from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.core.precision import bits_of
from vc2doctor.core.versions import MAX_VERSION_LENGTH
from vc2doctor.probe.failed_step import (
    BreakLocation,
    Broadcast,
    Graph,
    MadeInForward,
    NoSignal,
    Recomputation,
    SilentNode,
    StepWarning,
    Unregistered,
    Untouched,
)
from vc2doctor.probe.file_trials import FilesRun
from vc2doctor.probe.gradient_range import Count, GradientRange
from vc2doctor.probe.log_ratio import LogRatios
from vc2doctor.probe.scaled_formats import ScaledWeights
from vc2doctor.probe.subject_facts import Architecture, ArchitectureFailure, Inspection, LoadedModel

Ending = Literal["finished", "timeout", "signal", "out-of-memory", "exit", "silent", "flood", "interrupted", "protocol"]
"""``exit``: the worker ended before its work was done; ``silent``: it ended, or was killed, before its first event."""


class Gradients(Data):
    """Counts of the trainable tensors by their gradients after one backward pass."""

    tensors: Count
    missing: Count
    """Tensors without a gradient: the loss does not depend on them."""
    missing_adapters: Count = 0
    first_missing: str | None = None
    non_finite: Count
    first_non_finite: str | None = None
    zero: Count
    """Tensors whose gradient is 0 in every element."""
    norm: FiniteFloat | None = None
    """Norm of all gradients together, without the loss scale; ``None``: NaN or infinite."""


class Step(Data):
    """One attempt at an optimizer step."""

    step: Count
    loss: FiniteFloat | None
    """``None``: NaN or infinite."""
    taken: bool
    """Whether the optimizer's ``step`` ran; a GradScaler can skip it without an error."""
    scale: FiniteFloat | None
    """The scale of the GradScaler before the step; ``None`` without a GradScaler."""
    gradients: Gradients
    parameters_finite: bool
    batch: Count = 0
    """Index of the batch; the batches take turns."""
    first_bad_parameter: str | None = None
    """Name of the first parameter that is not finite."""
    lowest_rate: FiniteFloat | None = None
    """The lowest learning rate of all groups of parameters; ``None``: NaN or infinite."""
    highest_rate: FiniteFloat | None = None


class Adapters(Data):
    """The adapters as peft creates them (all trainable parameters, if there are none), and their optimizer."""

    dtypes: tuple[str, ...]
    tensors: Count
    elements: Count
    would_move: dict[str, dict[int, FiniteFloat]] = Field(default_factory=dict)
    """By dtype and fan-in: the share of weights that one AdamW step at the project's learning rate would change."""
    optimizer: str = "AdamW"
    learning_rate: FiniteFloat | None = None
    is_rate_finite: bool = True
    eps: FiniteFloat | None = None
    outside: Count = 0
    """Trainable tensors that the optimizer does not hold."""
    first_outside: str | None = None
    foreign: Count = 0
    """Tensors of the optimizer that are no parameters of the model."""


class PlanRate(Data):
    """What a few steps move at the project's own learning rate, where every weight is trained."""

    learning_rate: FiniteFloat
    steps: Count
    moved: FiniteFloat
    """Share of all weights that changed."""
    norms: FiniteFloat | None = None
    """Share of the weights of norms that changed; ``None``: the model has none."""

    @property
    def description(self) -> str:
        """What moves at which learning rate, as a clause."""
        norms = f" and {self.norms:.1%} of the weights of norms" if self.norms is not None else ""
        rate = f"at a learning rate of {self.learning_rate:g}"
        return f"{rate}, {self.steps} steps move {self.moved:.1%} of the weights{norms}"


class Operation(Data):
    """An operation of a module."""

    module: str
    op: str

    @property
    def description(self) -> str:
        """Module and operation, for a message."""
        return f"{self.module or 'the model itself'} ({self.op})"


class PeakValue(Operation):
    """The largest absolute value that an operation of a module computes."""

    largest: Annotated[FiniteFloat, Field(gt=0)]

    @property
    def bits(self) -> float:
        """Headroom in float16, in bits: negative if the value overflows."""
        return bits_of(self.largest)


class Headroom(Data):
    """The range of the activations in one float32 forward pass over all batches."""

    tightest: PeakValue
    layers: dict[str, Annotated[FiniteFloat, Field(gt=0)]]
    """Largest absolute value by layer."""


class RecipeFailure(Data):
    """An exception that ended the training under a recipe."""

    phase: str
    """``build``, ``forward``, ``backward`` or ``optimizer``."""
    error: Failure
    memory: bool
    backward_function: str | None = None
    """The ``torch.autograd.Function`` whose own backward pass raised it."""


class RecipeRun(Data):
    """All facts of the training under one recipe."""

    recipe: str
    finished: bool = False
    seconds: FiniteFloat | None = None
    unsupported: str | None = None
    adapters: Adapters | None = None
    steps: tuple[Step, ...] = ()
    moved: FiniteFloat | None = None
    """Share of the trainable elements, of those with a gradient in any step, that differ from their first value."""
    vanished: FiniteFloat | None = None
    """Of the elements with a nonzero gradient in float32: the share whose gradient is 0 at every step here."""
    plan_rate: PlanRate | None = None
    failure: RecipeFailure | None = None
    located: BreakLocation | None = None
    checkpointed: tuple[str, ...] = ()
    """Blocks whose reentrant checkpoint got no input with a gradient, although they hold trainable parameters."""
    graph: Graph | None = None
    untouched: Untouched | None = None
    """``None``: every trainable tensor has a gradient in the last step."""
    no_signal: NoSignal | None = None
    silent: SilentNode | None = None
    """Where the gradient becomes 0, if every gradient of every step is."""
    once_only: SilentNode | None = None
    """The function of the graph that cannot be differentiated once more, if the training ended at it."""
    recomputation: Recomputation | None = None
    made_in_forward: MadeInForward | None = None
    unregistered: Unregistered | None = None
    warnings: tuple[StepWarning, ...] = ()
    experiments: dict[str, bool] = Field(default_factory=dict)
    """By change: whether it lets the training pass the bad step."""

    @property
    def is_broken(self) -> bool:
        """Whether a loss, or the parameters after a step, are not finite."""
        return any(step.loss is None or not step.parameters_finite for step in self.steps)

    @property
    def has_no_gradient(self) -> bool:
        """Whether every gradient is 0 at every step."""
        counts = [step.gradients for step in self.steps]
        return bool(counts) and all(each.zero and each.zero + each.missing >= each.tensors for each in counts)

    @property
    def missing(self) -> Untouched | None:
        """The trainable tensors that no step touches; ``None``: there is none, or chance explains them."""
        untouched = self.untouched
        if untouched is None and self.steps:
            last = self.steps[-1].gradients
            untouched = Untouched(
                tensors=last.tensors,
                missing=last.missing,
                missing_adapters=last.missing_adapters,
                first_missing=last.first_missing,
                passes=0,
                seldom=None,
            )
        return untouched if untouched is not None and untouched.missing and untouched.is_certain else None

    @property
    def exploded(self) -> bool:
        """Whether the loss of a batch rose by more than its first value, and by more than 1."""
        firsts: dict[int, float] = {}
        for step in self.steps:
            if step.loss is not None:
                first = firsts.setdefault(step.batch, step.loss)
                if step.loss - first > max(1.0, abs(first)):
                    return True
        return False

    @property
    def would_move(self) -> float | None:
        """The smallest share of the adapter weights that one step at the project's width and rate would change."""
        widths = self.adapters.would_move.values() if self.adapters else ()
        return min((share for shares in widths for share in shares.values()), default=None)


class SelfTestRun(Data):
    """The facts of a planted fault and of its clean twin: they show whether the probe itself works."""

    fault: str
    faulty: RecipeRun
    clean: RecipeRun


class StressRun(Data):
    """The recipes on a miniature with planted outliers of documented size: a margin, never a verdict."""

    plant: str
    headroom: Headroom | None = None
    recipes: tuple[RecipeRun, ...] = ()


class VariantRun(Data):
    """Some recipes, trained in a way of ``target/shared/variants.py``."""

    variant: str
    finished: bool = False
    recipes: tuple[RecipeRun, ...] = ()
    repeats: bool | None = None
    """Whether two trainings had the same losses and weights, bit for bit; ``None``: not compared."""


class Measure(Data):
    """One question that only a GPU can answer, and the answer."""

    name: str
    status: Literal["measured", "unsupported", "failed"]
    value: FiniteFloat | None = None
    unit: str = ""
    description: str = ""


class AdapterRun(Data):
    """The result of saving the adapter, reloading it, and generating a few tokens."""

    recipe: str
    done: tuple[str, ...]
    """The phases that succeeded, of ``save``, ``reload`` and ``generate``."""
    difference: FiniteFloat | None
    """Largest absolute difference of the logits before and after."""
    same: bool
    error: Failure | None
    seconds: FiniteFloat


class DoorRun(Data):
    """What happened at one door of ``target/doors``: a way into the stack that people train through."""

    door: str
    trains: bool
    """Whether training steps were tried, or only the import."""
    finished: bool = False
    phase: Literal["import", "step"] = "import"
    """How far it got."""
    losses: tuple[FiniteFloat | None, ...] = ()
    """The loss of each step; ``None``: NaN or infinite."""
    moved: FiniteFloat | None = None
    """Share of the trainable elements that changed."""
    unavailable: str | None = None
    """Why it cannot be tried here."""
    doubt: str | None = None
    """What its steps do otherwise than the user means, although they end well."""
    error: Failure | None = None
    seconds: FiniteFloat | None = None


class ImportedPackage(Data):
    """One package of the stack that was imported in the target."""

    package: str
    version: Annotated[str, Field(max_length=MAX_VERSION_LENGTH)]
    file: str | None
    seconds: FiniteFloat


class MissingName(Data):
    """A name that the user's code imports and that the target cannot import."""

    module: str
    name: str
    near: tuple[str, ...] = ()
    """Names of the module that are spelled like it."""
    error: Failure


class NamesRun(Data):
    """The names of the user's code, imported one by one."""

    tried: Count
    left_out: Count
    """Names of packages that were not imported, and those for which no time was left."""
    missing: tuple[MissingName, ...] = ()


class Device(Data):
    """The facts that torch reports on its build and on the device of the probe."""

    type: str
    """``cpu``, ``cuda`` (which is also ROCm's name) or ``mps``."""
    device: str
    name: str | None
    capability: tuple[int, int] | None
    architecture: str | None
    """AMD's name of the instruction set, such as ``gfx942``."""
    torch_cuda: str | None
    torch_hip: str | None
    architectures: tuple[str, ...]
    """The architectures for which the torch build has kernels, such as ``sm_80`` or ``compute_90``."""
    gpus: Count


class ProbeRun(Data):
    """One run of the worker."""

    ending: Ending
    worker: str | None = None
    stage: str
    """What the worker was doing when it ended, such as ``importing torch``."""
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
    """Seconds in which torch imports the modules that it puts off until an optimizer is first used."""
    headroom: Headroom | None = None
    range_broken: Operation | None = None
    """The first operation whose result is not finite in float32; there is no headroom then."""
    headroom_failure: Failure | None = None
    gradients: GradientRange | None = None
    gradients_unmeasured: str | None = None
    """Why the backward pass of the checkpoint could not be measured, as a clause."""
    log_ratios: LogRatios | None = None
    """Trainer and rollout compared, if that was asked for."""
    scaled: ScaledWeights | None = None
    """What FP8 and smaller formats make of the weights of a checkpoint."""
    self_test: SelfTestRun | None = None
    inspection: Inspection | None = None
    broadcast: Broadcast | None = None
    architecture: Architecture | None = None
    architecture_failure: ArchitectureFailure | None = None
    stress: tuple[StressRun, ...] = ()
    variants: tuple[VariantRun, ...] = ()
    measures: tuple[Measure, ...] = ()
    doors: tuple[DoorRun, ...] = ()
    names: NamesRun | None = None
    """``None``: there is no code, or the worker did not get that far."""
    files: FilesRun | None = None
    distributions: tuple[str, ...] | None = None
    """Names of the distributions of which a module was imported; ``None``: the worker did not get that far."""
    child: ChildRun
    malformed_events: int = 0
    rounds_planned: Count = 0
    """Number of trainings under one recipe that were planned, those with planted outliers included."""
    rounds_begun: Count = 0

    def recipe(self, name: str) -> RecipeRun | None:
        """Return the facts of the recipe ``name``, or ``None`` if it was not started."""
        return next((run for run in self.recipes if run.recipe == name), None)
