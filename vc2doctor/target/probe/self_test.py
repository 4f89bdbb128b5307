"""Proves, before anything is measured, that the instrument can fail: float16 under AdamW must be poisoned.

What is trained is a LoRA pair without peft and transformers, so that a defect of theirs is not taken for one of the
instrument; how it is trained, watched and told is how the recipes are.
"""

from typing import Any, Dict, List

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import device as devices
from . import subject, training

_ROWS, _WIDTH, _RANK = 4, 16, 4


def run(events: EventSink, runtime: Runtime) -> None:
    """Emit one ``self-test`` event: what was seen of a planted fault, and of its clean twin."""
    fault = "float16 adapters under AdamW"
    try:
        faulty = _seen(runtime, "float16")
    except (RuntimeError, NotImplementedError) as error:
        if not devices.is_unsupported(error):
            raise
        # A CPU of torch 1.13 has no float16 arithmetic; a weight that is not a number is a fault everywhere.
        fault = "a weight that is not a number"
        faulty = _seen(runtime, "float32", plant=True)
    events.emit("self-test", fault=fault, faulty=faulty, clean=_seen(runtime, "float32"))


class _RecipeFacts:
    """Keeps events as one recipe's facts."""

    def __init__(self) -> None:
        self.steps: List[Dict[str, Any]] = []
        self.facts: Dict[str, Any] = {}

    def emit(self, event: str, **fields: Any) -> None:
        """Keep one event."""
        fields.pop("recipe", None)
        if event == "step":
            self.steps.append(fields)
        elif event == "movement":
            self.facts["moved"] = fields["share"]
        else:
            self.facts[event] = fields


def _seen(runtime: Runtime, dtype: str, *, plant: bool = False) -> Dict[str, Any]:
    torch = runtime.torch
    torch.manual_seed(0)
    # With B zero the gradient of A is zero, and AdamW divides 0 by an eps that float16 rounds to 0.
    module = torch.nn.Sequential(
        torch.nn.Linear(_WIDTH, _RANK, bias=False), torch.nn.Linear(_RANK, _WIDTH, bias=False)
    ).to(device=runtime.device, dtype=getattr(torch, dtype))
    torch.nn.init.zeros_(module[1].weight)
    if plant:
        with torch.no_grad():
            module[0].weight[0, 0] = float("nan")
    given = torch.ones(_ROWS, _WIDTH, device=runtime.device, dtype=getattr(torch, dtype))

    def loss(batch: Any) -> Any:
        return ((module(batch) - 1) ** 2).float().mean()

    made = subject.Subject(module, [given], loss)
    # The form that every torch has, on every device; a fused one computes in float32 and hides the fault.
    made.optimizer = torch.optim.AdamW(module.parameters(), lr=Spec().probe_rate, foreach=False)
    recipe = Recipe("self-test", dtype, None, None, scaled=False, summary="")
    kept = _RecipeFacts()
    training.train(kept, runtime, Spec(), recipe, training.Loop(runtime, Spec(), recipe, made), {})
    return dict(kept.facts, steps=kept.steps)
