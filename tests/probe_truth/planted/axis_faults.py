"""Faults that appear only when a model is compiled, deterministic, or run with one attention code."""

import os
from typing import Any

import torch

from . import graph_models as graphs
from . import models
from .faults import Subject


class _Compiled(models.Regression):
    """Overflows in float16 only in the code that torch.compile makes, as a fused product without a rounding would."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self._size = size

    def between(self, states: Any) -> Any:
        """Return the states, through a large number if they are compiled."""
        if torch._dynamo.is_compiling():
            return states * self._size / self._size
        return states


# These take a dtype and ignore it: the weights stay in float32.
def compiled_overflow(_dtype: Any) -> Subject:
    return _Compiled(1e6), models.numbers()


def compiled_overflow_twin(_dtype: Any) -> Subject:
    return _Compiled(2.0), models.numbers()


def _put(states: Any) -> Any:
    # https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html lists it for a CPU as well.
    return states + torch.zeros(2).put_(torch.tensor([0]), torch.tensor([0.5]))[0]


def undeterministic() -> Subject:
    return graphs.Between(_put), models.numbers()


def undeterministic_twin() -> Subject:
    return graphs.Between(lambda states: states + 0.5), models.numbers()


def unseeded() -> Subject:
    return graphs.Between(lambda states: states + os.urandom(1)[0] / 2**20), models.numbers()


def attention(dtype: Any) -> Subject:
    return models.language(dtype), models.tokens()


def no_attention() -> Subject:
    return models.Regression(), models.numbers()
