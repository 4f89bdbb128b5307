"""Proves, before anything is measured, that the instrument can fail: float16 under AdamW must be poisoned."""

from typing import Any

from . import device as devices
from . import subject, training
from .protocol import Events
from .recipes import Recipe
from .spec import Spec

_ROWS, _WIDTH, _RANK = 4, 16, 4


def run(events: Events, stack: Any) -> None:
    """Emit one ``self-test`` event: whether the planted fault was seen, and whether its clean twin passed."""
    poisoned = _outcome(stack, "float16")
    fault = "float16 parameters under AdamW"
    if poisoned == "unsupported":
        # A CPU of torch 1.13 has no float16 arithmetic; a weight that is not a number is a fault everywhere.
        fault = "a weight that is not a number"
        poisoned = _outcome(stack, "float32", plant=True)
    events.emit("self-test", fault=fault, seen=poisoned == "bad", passed=_outcome(stack, "float32") == "good")


def _outcome(stack: Any, dtype: str, *, plant: bool = False) -> str:
    torch = stack.torch
    torch.manual_seed(0)
    # A LoRA pair: with B zero the gradient of A is zero, and AdamW divides 0 by an eps that float16 rounds to 0.
    module = torch.nn.Sequential(
        torch.nn.Linear(_WIDTH, _RANK, bias=False), torch.nn.Linear(_RANK, _WIDTH, bias=False)
    ).to(device=stack.device, dtype=getattr(torch, dtype))
    torch.nn.init.zeros_(module[1].weight)
    if plant:
        with torch.no_grad():
            module[0].weight[0, 0] = float("nan")
    given = torch.ones(_ROWS, _WIDTH, device=stack.device, dtype=getattr(torch, dtype))

    def loss(batch: Any) -> Any:
        return ((module(batch) - 1) ** 2).float().mean()

    made = subject.Subject(module, [given], loss)
    recipe = Recipe("self-test", dtype, None, None, scaled=False, summary="")
    try:
        seen = training.steps_of(training.Loop(stack, Spec(), recipe, made), 2)
    except (RuntimeError, NotImplementedError) as error:
        if devices.is_unsupported(error):
            return "unsupported"
        raise
    good = all(step["loss"] is not None and step["parameters_finite"] and step["taken"] for step in seen)
    return "good" if good else "bad"
