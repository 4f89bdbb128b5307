"""The door of accumulated gradients: does ``transformers.Trainer`` step as with all rows in one batch?

The Trainer passes the number of items to the model, or divides the loss itself. A release in which a model class
takes the number and ignores it, or in which the Trainer forgets to divide, has gradients that are too large:
https://github.com/huggingface/transformers/pull/34191.
"""

import importlib
from typing import Any, List, Optional, Tuple

from ..shared.code_use import CodeUse
from . import Door, Doubt, Unavailable

BATCHES = 4
"""Batches to a step: a sum in place of an average is far from rounding."""
MAX_DIFFERENCE = 0.01
"""Relative difference of the two gradients. In float32 they agree to about 1e-6."""
_RATE = 1e-3


def _load() -> None:
    importlib.import_module("transformers.trainer")


def _train(kit: Any) -> List[Optional[float]]:
    whole, losses = _gradient(kit, 1)
    accumulated, more = _gradient(kit, BATCHES)
    difference = float((accumulated - whole).norm() / whole.norm())
    if difference > MAX_DIFFERENCE:
        ratio = float(accumulated.norm() / whole.norm())
        raise Doubt(
            "with %d batches to a step the gradient is %.2f times that of the same rows in one batch"
            % (BATCHES, ratio),
            losses + more,
        )
    return losses + more


def _gradient(kit: Any, batches: int) -> Tuple[Any, List[Optional[float]]]:
    """Return the gradient of one step on all rows, split into ``batches``, as one vector; and the logged loss."""
    torch, transformers = kit.runtime.torch, kit.runtime.transformers
    rows = kit.rows()
    model = _model(kit)
    # Dropout would differ between the two trainings.
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    before = [p.detach().cpu().clone() for p in model.parameters()]
    arguments = kit.arguments(
        transformers.TrainingArguments,
        max_steps=1,
        max_grad_norm=0.0,
        per_device_train_batch_size=len(rows) // batches,
        gradient_accumulation_steps=batches,
    )
    # Plain descent: the step is the gradient times the rate.
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, schedule))
    losses = kit.run_trainer(trainer)
    changes = [(old - new.detach().cpu()).flatten() for old, new in zip(before, model.parameters())]
    return torch.cat(changes).double() / _RATE, list(losses)


def _model(kit: Any) -> Any:
    """Return the user's architecture of its own class; the language model in it, if that cannot be built small."""
    try:
        return kit.whole_base()
    except Unavailable:
        return kit.language_base()


def _is_used(use: CodeUse) -> bool:
    return use.uses_trainer and use.accumulation > 1


DOOR = Door(
    name="accumulation",
    title="transformers.Trainer with accumulated gradients",
    modules=("accelerate",),
    load=_load,
    train=_train,
    parent="trainer",
    only_if_used=True,
    is_used=_is_used,
    advice="Use a larger batch without gradient_accumulation_steps, or a release of transformers that averages here.",
)
