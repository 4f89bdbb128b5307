"""Looks for gradients under other random draws before parameters count as untouched.

Every step of a training draws the same numbers, so that the loss of a batch must fall. A model that drops layers at
random (LayerDrop, stochastic depth) then drops the same ones in each step.
"""

import random
import sys
from typing import Any, Dict, List

FIRST_PASSES = 3
"""Passes that are always taken: generators of the model's own advance unseen."""
MAX_PASSES = 24
"""Passes over a model that draws: one that keeps a layer in half of its draws then misses none of a hundred."""


def search(loop: Any) -> Dict[str, Any]:
    """Take passes of ``loop``, a ``training.Loop``, with other draws; return the fields of an ``untouched`` event.

    What none of them touched stays in ``loop.missing``.
    """
    try:
        counts = _count(loop)
    except Exception:  # noqa: BLE001 - the training itself succeeded, and its steps decide
        counts = []
    passes = len(counts)
    touched = {name for each in counts for name in each}
    loop.missing = [name for name in loop.missing if name not in touched]
    frequencies = [sum(name in each for each in counts) for name in touched]
    least = min((count for count in frequencies if count < passes), default=None)
    return {
        "tensors": len(loop.parameters),
        "missing": len(loop.missing),
        "missing_adapters": sum("lora_" in name for name in loop.missing),
        "first_missing": loop.missing[0] if loop.missing else None,
        "passes": passes,
        "seldom": least / passes if least is not None else None,
    }


def _count(loop: Any) -> List[List[str]]:
    """Return, for each pass, the parameters that got a gradient."""
    touched: List[List[str]] = []
    missing = set(loop.missing)
    draws = False
    while missing and len(touched) < (MAX_PASSES if draws else FIRST_PASSES):
        draw = len(touched) + 1
        loop.seed(draw)
        before = _random_state(loop.runtime.torch, loop.runtime.device)
        loop.backward(len(touched), draw)
        draws = draws or _random_state(loop.runtime.torch, loop.runtime.device) != before
        touched.append([name for name, p in loop.parameters.items() if p.grad is not None])
        # A generator of the model's own shows by what it chooses.
        draws = draws or touched[-1] != touched[0]
        missing.difference_update(touched[-1])
    return touched


def _random_state(torch: Any, device: Any) -> List[Any]:
    """Return the states of the global generators: a pass that changes them draws from them."""
    numpy = sys.modules.get("numpy")
    on_gpu = torch.cuda.get_rng_state(device).tolist() if device.type == "cuda" else None
    by_numpy = str(numpy.random.get_state()) if numpy is not None else None
    return [torch.get_rng_state().tolist(), random.getstate(), by_numpy, on_gpu]


def made_in_forward(loop: Any) -> List[str]:
    """Return the names of the trainable parameters that are new since ``loop`` began: the forward pass makes them."""
    now = loop.subject.trainable_parameters()
    return [name for name, parameter in now.items() if loop.parameters.get(name) is not parameter]
