"""The facts of what is trained: a checkpoint, an architecture, and the data, before any training."""

from typing import Literal

from pydantic import Field, FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.probe.gradient_range import Count


class Inspection(Data):
    """Facts of data and weights before any training."""

    targets: tuple[Count, ...]
    """Number of positions that count in the loss, by batch."""
    masked_rows: Count
    """Number of rows whose tokens are all hidden by the attention mask."""
    bad_input: str | None
    """Name of the first input that holds NaN or infinity."""
    bad_weight: str | None
    """Name of the first weight that holds NaN or infinity."""
    stored: str = "float32"
    """Narrowest dtype that holds the frozen weights exactly: the one in which the checkpoint was saved."""
    attention: str | None
    """The attention code that transformers chose: ``sdpa``; ``None``: the model has no such choice."""
    largest_ids: dict[str, Count] = Field(default_factory=dict)
    """The largest number of each tensor of integers in the batches, by name."""
    embeddings: dict[str, Count] = Field(default_factory=dict)
    """The number of rows of each embedding, by module."""
    tied: tuple[tuple[str, ...], ...] = ()
    """The names of each parameter that several modules share."""


class NonFiniteTensor(Data):
    """A tensor of a checkpoint that holds NaN or infinity."""

    tensor: str
    values: Count
    """Number of its values that are NaN or infinite."""
    of: Count
    """Number of all its values."""


class LoadedModel(Data):
    """A checkpoint that was loaded from disk."""

    architecture: str
    parameters: Count
    dtype: str
    """``bfloat16`` if float32 does not fit into memory."""
    seconds: FiniteFloat
    non_finite: tuple[NonFiniteTensor, ...] = ()
    """The first tensors with values that are not finite."""
    non_finite_tensors: Count = 0
    """Number of all tensors with such values."""


class Architecture(Data):
    """The user's architecture, which the probe trained as a miniature."""

    model: str
    """The class: ``Qwen2ForCausalLM``."""
    parameters: Count


class ArchitectureFailure(Data):
    """Why the user's architecture was not trained; the probe trained a plain language model instead."""

    stage: Literal["unknown", "own-code", "import", "shrink", "forward"]
    """``unknown``: the installed transformers lacks it; ``own-code``: only code beside the weights knows it;
    ``import``: its class cannot be imported; ``shrink``: no small model can be built; ``forward``: the small model
    raises."""
    error: Failure
