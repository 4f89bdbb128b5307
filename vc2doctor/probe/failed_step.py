"""The facts about a step that failed, or that left parameters without a gradient, as the worker found them out."""

from typing import Literal

from pydantic import FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.probe.gradient_range import Count

MAX_CHANCE = 0.01
"""Chance that a tensor that takes part at random is missed, up to which it counts as untouched."""


class BrokenOperation(Data):
    """The first operation with finite inputs and an output that is not finite."""

    phase: str
    """``forward``, ``backward`` or ``optimizer``."""
    module: str
    """Empty in the model's own ``forward``, and outside of every module."""
    op: str
    dtype: str
    largest: tuple[FiniteFloat | None, ...]
    """Largest absolute value of each input."""
    exact: FiniteFloat | None = None
    """Largest absolute value of the same operation in a wider dtype; ``None``: not finite there, or not computable."""
    ignored_rows_only: bool | None
    """Whether it broke only in rows that the attention mask hides; ``None``: unknown."""
    zeros: bool = False
    """Whether an input holds 0."""
    by_number_zero: bool = False
    """Whether it divides by a number of Python that is 0."""
    empty: bool = False
    """Whether an input has no element."""
    hidden_rows: Count = 0
    """Rows of a softmax that hold nothing but -inf."""
    file: str | None = None
    """The code that computes it; of an operation of the backward pass, the code of the forward pass."""
    line: int | None = None
    node: str | None = None
    """torch's name of the backward function: ``SqrtBackward0``."""
    site: Literal["", "hook", "function", "recomputation"] = ""
    """Whose Python code runs in the backward pass; empty: torch's own code, or another phase."""
    code: str | None = None
    """The name of that function, or of the ``torch.autograd.Function``."""

    @property
    def place(self) -> str:
        """Operation, module and line of code, for a message."""
        line = f" ({self.file}:{self.line})" if self.file else ""
        if self.phase == "optimizer":
            return f"{self.op} in the step of the optimizer{line}"
        if self.site == "hook":
            return f"{self.op} in the gradient hook {self.code}{line}"
        if self.site == "function":
            return f"{self.op} in the backward function of {self.code or 'a torch.autograd.Function'}{line}"
        if self.phase == "backward" and self.site != "recomputation":
            return f"{self.op} in the backward pass of {self.node or self.module or 'the model itself'}{line}"
        return f"{self.op} in {self.module or 'the model itself'}{line}"


class Float32Values(Data):
    """What the inputs of a broken operation, and the constants of the model, are in float32."""

    rounded: bool | None
    """Whether an input is 0 at a place where float32 has another number; ``None``: not comparable."""
    constant: str | None
    """A weight or buffer that is infinite here and finite in float32."""
    value: FiniteFloat | None
    """Its value in float32."""


class BreakLocation(Data):
    """The place where a step failed, found by repeating the step while watching every operation."""

    step: Count
    phase: str
    broken: BrokenOperation | None
    parameter: str | None
    """Name of the first parameter that is not finite after the step."""
    compared: Float32Values | None = None
    """``None``: it was not compared."""


class SilentNode(Data):
    """The first function of the backward pass that passes no gradient on."""

    node: str | None
    """torch's name of it: ``RoundBackward0``; ``None``: unknown."""
    file: str | None
    """The code of the forward pass that made it."""
    line: int | None

    @property
    def place(self) -> str | None:
        """The function and the line of code, for a message."""
        line = f" ({self.file}:{self.line})" if self.file else ""
        return f"{self.node}{line}" if self.node else None


class NoSignal(SilentNode):
    """The weights whose gradients are 0 or nothing but rounding, although others have a signal."""

    tensors: Count
    of: Count
    first: str
    exact: bool
    """Whether all of these gradients are exactly 0."""


class MadeInForward(Data):
    """The trainable tensors that the forward pass makes anew."""

    tensors: Count
    first: str


class Unregistered(Data):
    """The tensors that a model keeps in plain containers: the loss depends on them, and nothing trains them."""

    tensors: Count
    first: str
    shape: tuple[Count, ...]
    """Of the first one."""
    file: str | None
    """The code that uses the first one."""
    line: int | None


class Untouched(Data):
    """The trainable tensors without a gradient in any step, and under any other random draw that was tried."""

    tensors: Count
    missing: Count
    missing_adapters: Count
    first_missing: str | None
    passes: Count
    """Passes with other random draws."""
    seldom: FiniteFloat | None
    """Share of the passes with a gradient, of the tensor that had one least often; ``None``: all had one in each."""

    @property
    def is_certain(self) -> bool:
        """Whether chance does not explain what is missing."""
        return self.seldom is None or (1 - self.seldom) ** self.passes < MAX_CHANCE


class Recomputation(Data):
    """A checkpoint whose recomputation differed from its forward pass."""

    file: str | None
    line: int | None
    generator: str | None
    """A generator that the forward pass draws from, and that torch does not restore."""


class StepWarning(Data):
    """A warning that was raised while a model was built and trained."""

    category: str
    message: str
    count: Count
    file: str | None
    """The code that caused it."""
    line: int | None


class Broadcast(Data):
    """A difference of a column and a row of the batch: it compares each row with all rows."""

    rows: Count
    module: str
    file: str | None
    line: int | None


class ModuleGraph(Data):
    """What one forward pass does with a module whose parameters get no gradient."""

    module: str
    called: bool
    enabled: bool
    """Whether gradients are on at every call."""
    graph: bool
    """Whether its output has a graph."""
    partly: bool = False
    """Whether another trainable parameter of it gets a gradient: then the module does not use all of its parameters."""


class Graph(Data):
    """Why trainable parameters get no gradient, found in one more forward pass."""

    loss: bool
    """Whether the loss has a graph."""
    modules: tuple[ModuleGraph, ...]
    last: str | None
    """The last module whose output has a graph."""
