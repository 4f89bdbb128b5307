"""What FP8, MXFP8 and NVFP4 make of the weights of a checkpoint, as the worker emulated it."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.probe.gradient_range import Count

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Error = Annotated[FiniteFloat, Field(ge=0)]
MAX_TENSOR_NAME = 300

SCALES = {
    "fp8": "FP8 (E4M3), one scale per tensor",
    "mxfp8": "MXFP8 (E4M3), one power-of-two scale per 32 weights",
    "nvfp4": "NVFP4 (E2M1), one E4M3 scale per 16 weights",
}
"""The formats in words."""


class ScaledFormat(Data):
    """One format on the weight matrices."""

    format: Literal["fp8", "mxfp8", "nvfp4"]
    values: Annotated[int, Field(gt=0)]
    """How many weights were looked at."""
    flushed: Share
    """The share of them that is not 0 and becomes 0."""
    error: Error
    """The root mean square error, relative to that of the weights."""
    worst_error: Error
    """The same, of the tensor where it is largest."""
    worst_tensor: Annotated[str, Field(max_length=MAX_TENSOR_NAME)]


class ScaledWeights(Data):
    """All formats on the weight matrices of a checkpoint."""

    values: Count
    """Weights of all matrices; of large ones, evenly spaced rows are looked at."""
    formats: Annotated[tuple[ScaledFormat, ...], Field(max_length=len(SCALES))]
