"""The facts about a step that failed, or that left parameters without a gradient, as the worker found them out."""

from pydantic import FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.probe.gradient_range import Count


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
    empty: bool = False
    """Whether an input has no element."""
    hidden_rows: Count = 0
    """Rows of a softmax that hold nothing but -inf."""
    file: str | None = None
    """The code that computes it; of an operation of the backward pass, the code of the forward pass."""
    line: int | None = None
    node: str | None = None
    """torch's name of the backward function: ``SqrtBackward0``."""

    @property
    def place(self) -> str:
        """Operation, module and line of code, for a message."""
        line = f" ({self.file}:{self.line})" if self.file else ""
        if self.phase == "backward":
            return f"{self.op} in the backward pass of {self.node or self.module or 'the model itself'}{line}"
        return f"{self.op} in {self.module or 'the model itself'}{line}"


class BreakLocation(Data):
    """The place where a step failed, found by repeating the step while watching every operation."""

    step: Count
    phase: str
    broken: BrokenOperation | None
    parameter: str | None
    """Name of the first parameter that is not finite after the step."""


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
