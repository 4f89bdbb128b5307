"""Proves that the probe can detect a fault, before it measures anything: float16 under AdamW must become non-finite.

It trains a LoRA pair without peft and transformers, so that a defect of theirs does not look like one of the probe.
The steps are taken and reported by the same code as those of the recipes.
"""

from typing import Any, Dict, List

from ..runtime import EventSink, Runtime
from ..shared.recipes import Recipe
from ..shared.spec import Spec
from . import devices, training
from .subject import Subject

ROWS, WIDTH, RANK = 4, 16, 4


def run(events: EventSink, runtime: Runtime) -> None:
    """Emit one ``self-test`` event: the facts of a planted fault, and of its clean twin."""
    fault = "float16 adapters under AdamW"
    try:
        faulty = _train(runtime, "float16")
    except (RuntimeError, NotImplementedError) as error:
        if not devices.is_unsupported(error):
            raise
        # torch 1.13 has no float16 arithmetic on a CPU; a NaN weight is a fault on every device.
        fault = "a weight that is NaN"
        faulty = _train(runtime, "float32", nan_weight=True)
    events.emit("self-test", fault=fault, faulty=faulty, clean=_train(runtime, "float32"))


class _RecipeFacts:
    """Keeps the events of one training as the facts of a recipe."""

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


def _train(runtime: Runtime, dtype: str, *, nan_weight: bool = False) -> Dict[str, Any]:
    torch = runtime.torch
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(WIDTH, RANK, bias=False), torch.nn.Linear(RANK, WIDTH, bias=False)).to(
        device=runtime.device, dtype=getattr(torch, dtype)
    )
    # As in LoRA, B starts at zero. The gradient of A is then 0, and AdamW divides it by an eps that float16 rounds
    # to 0.
    torch.nn.init.zeros_(module[1].weight)
    if nan_weight:
        with torch.no_grad():
            module[0].weight[0, 0] = float("nan")
    inputs = torch.ones(ROWS, WIDTH, device=runtime.device, dtype=getattr(torch, dtype))

    def loss(batch: Any) -> Any:
        return ((module(batch) - 1) ** 2).float().mean()

    subject = Subject(module, [inputs], loss)
    # Every torch has this form on every device. A fused AdamW computes in float32, which hides the fault.
    subject.optimizer = torch.optim.AdamW(module.parameters(), lr=Spec().probe_rate, foreach=False)
    recipe = Recipe("self-test", dtype, None, None, scaled=False, summary="")
    kept = _RecipeFacts()
    training.train(kept, training.Loop(runtime, Spec(), recipe, subject), {})
    return dict(kept.facts, steps=kept.steps)
