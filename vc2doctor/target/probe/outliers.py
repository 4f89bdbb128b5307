"""Plants outliers of documented size into the miniature."""

from typing import Any, Callable, List, Tuple

from ..shared.outliers import OUTLIERS

LAYER = 0
"""The layer of the language model that gets the outliers."""
RIDGE = 1e-3
"""Ridge penalty: there can be fewer tokens than channels, so that plain least squares has no unique solution."""
CHOSEN_WEIGHT = 100.0
"""Weight of the chosen tokens in the least squares; they are few beside the others."""


def plant(torch: Any, name: str, language: Any, batches: List[Any], forward: Callable[[Any], Any]) -> None:
    """Plant the outliers ``name`` into the float32 base model ``language``; ``forward(batch)`` runs a batch through it.

    ``none`` plants nothing.
    """
    if name == "none":
        return
    mlp = _mlps(language)[LAYER]
    states, first, padding = _record_inputs(torch, mlp, batches, forward)
    for channel, outlier in enumerate(OUTLIERS[name]):
        chosen = first if outlier.where == "first" else padding
        direction = _direction(torch, states, chosen)
        gate, up, down = (getattr(mlp, part).weight for part in ("gate_proj", "up_proj", "down_proj"))
        with torch.no_grad():
            gate[channel] = outlier.gate * direction
            up[channel] = outlier.up * direction
            down[:, channel] = 0.0
            down[channel, channel] = outlier.residual / (outlier.gate * outlier.up)


def _mlps(language: Any) -> List[Any]:
    return [module for name, module in language.named_modules() if name.split(".")[-1] == "mlp"]


def _record_inputs(torch: Any, mlp: Any, batches: List[Any], forward: Callable[[Any], Any]) -> Tuple[Any, Any, Any]:
    """Return the inputs of the MLP, of shape (tokens, width), and which tokens are first in a row or are padding."""
    inputs: List[Any] = []
    hook = mlp.register_forward_pre_hook(lambda _module, arguments: inputs.append(arguments[0].detach().float()))
    try:
        with torch.no_grad():
            for batch in batches:
                forward(batch)
    finally:
        hook.remove()
    masks = [batch.mask for batch in batches]
    states = torch.cat([part.reshape(-1, part.shape[-1]) for part in inputs])
    first = torch.cat([(torch.arange(mask.numel(), device=mask.device) % mask.shape[1]) == 0 for mask in masks])
    padding = torch.cat([mask.reshape(-1) for mask in masks]) == 0
    return states, first, padding


def _direction(torch: Any, states: Any, chosen: Any) -> Any:
    """Return the direction on which the ``chosen`` rows of ``states`` are 1 and the others near 0, by least squares."""
    weights = torch.where(chosen, CHOSEN_WEIGHT, 1.0).to(states)
    weighted = states * weights[:, None]
    normal = weighted.T @ weighted + RIDGE * torch.eye(states.shape[1], device=states.device)
    direction = torch.linalg.solve(normal.double(), (weighted.T @ (weights * chosen)).double()).to(states)
    # Scale it so that the smallest of the chosen rows reaches the documented size.
    return direction / (states[chosen] @ direction).min()
