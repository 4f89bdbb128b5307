"""Plants outliers of documented size into the miniature."""

from typing import Any, List, Tuple

from ..shared.outliers import OUTLIERS

_LAYER = 0


_RIDGE, _WEIGHT = 1e-3, 100.0


def plant(torch: Any, name: str, language: Any, batches: List[Any], run: Any) -> None:
    """Plant the outliers ``name`` into the float32 base model ``language``; ``run(batch)`` sends a batch through it."""
    if name == "none":
        return
    mlp = _mlps(language)[_LAYER]
    states, first, padding = _calibrate(torch, mlp, batches, run)
    for channel, outlier in enumerate(OUTLIERS[name]):
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
