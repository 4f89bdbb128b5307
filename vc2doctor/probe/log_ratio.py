"""How far trainer and rollout of reinforcement learning disagree, and which dtype is the better choice."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.probe.gradient_range import Count

MIN_OUTSIDE = 0.01
"""Share of tokens outside of the band from which on another dtype is worth a change. Reports of bfloat16 have 2 % to
60 %, and float32 0 %: https://github.com/verl-project/verl/issues/6280."""
MIN_GAIN = 2.5
"""How many times fewer tokens have to be outside with the better choice. In the same report float16 has at least 2.7
times fewer than bfloat16, and mostly more than 10 times."""
MIN_BITS = 1.0
"""Headroom that float16 needs in the forward pass to be recommended."""

Dtype = Literal["float32", "bfloat16", "float16"]

_CANDIDATES: tuple[Dtype, ...] = ("float16", "float32")


class LogRatio(Data):
    """The log-ratios of the same tokens, scored by the trainer in batches of 8, and by the rollout row by row."""

    trainer: Dtype
    rollout: Dtype
    tokens: Count
    outside: Annotated[FiniteFloat, Field(ge=0, le=1)]
    """Share of tokens whose ratio is outside of [0.9, 1.1]; NaN is outside."""
    mean: FiniteFloat | None
    """Mean of the log-ratios; ``None``: not finite."""
    mean_size: FiniteFloat | None
    """Mean of their absolute values."""
    largest: FiniteFloat | None
    """Largest absolute value."""


class LogRatios(Data):
    """All log-ratios that were measured, and why others were not."""

    pairs: tuple[LogRatio, ...] = ()
    failures: dict[str, Failure] = Field(default_factory=dict)
    """By dtype."""

    def pair(self, trainer: str, rollout: str) -> LogRatio | None:
        """Return the log-ratios of a pair of dtypes; ``None``: not measured."""
        return next((each for each in self.pairs if (each.trainer, each.rollout) == (trainer, rollout)), None)

    def noise(self, dtype: str) -> float | None:
        """Return the share of tokens that rounding in ``dtype`` can move out of the band; ``None``: not measured.

        It is the larger one of two shares: trainer and rollout in this dtype, which differ by the rows in a batch, and
        this dtype against float32. Kernels of a CPU can give the same bits for any number of rows; those of a GPU do
        not.
        """
        pairs = (self.pair(dtype, dtype), self.pair("float32", dtype))
        shares = [pair.outside for pair in pairs if pair is not None and pair.largest is not None]
        return max(shares) if len(shares) == len(pairs) else None

    def better_than_bfloat16(self, *, allow_float16: bool) -> Dtype | None:
        """Return the dtype that is clearly better than bfloat16 for trainer and rollout: float16, else float32.

        float16 costs as much as bfloat16, and float32 twice the memory and more than twice the time.
        """
        current = self.noise("bfloat16")
        if current is None or current < MIN_OUTSIDE:
            return None
        for dtype in _CANDIDATES if allow_float16 else _CANDIDATES[1:]:
            noise = self.noise(dtype)
            if noise is not None and noise * MIN_GAIN <= current:
                return dtype
        return None
