"""The door ``accelerate.Accelerator``: a loop of one's own, prepared by accelerate."""

import importlib
from typing import Any, List, Optional

from . import Door


def _load() -> None:
    importlib.import_module("accelerate").Accelerator  # noqa: B018 - a lazy attribute is imported when it is read


def _train(kit: Any) -> List[Optional[float]]:
    torch = kit.runtime.torch
    accelerator = importlib.import_module("accelerate").Accelerator(cpu=kit.on_cpu)
    model = kit.adapted()
    optimizer = kit.optimizer(model)
    loader = torch.utils.data.DataLoader(kit.rows(), batch_size=2)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    losses: List[Optional[float]] = []
    for batch in loader:
        with accelerator.accumulate(model):
            loss = model(**batch).loss
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(kit.finite(loss))
    return losses


DOOR = Door(
    name="accelerate",
    title="accelerate.Accelerator",
    modules=("accelerate",),
    signs=("accelerate.Accelerator",),
    load=_load,
    train=_train,
    fault="accelerate.accelerator:Accelerator.accumulate",
)
