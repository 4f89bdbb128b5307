"""The door of gradient checkpointing under adapters: a frozen model whose first block gets no input with a gradient."""

import importlib
from typing import Any, List, Optional

from ..shared.code_use import CodeUse
from . import Door


def _load() -> None:
    importlib.import_module("peft").get_peft_model  # noqa: B018 - a lazy attribute is imported when it is read


def _train(kit: Any) -> List[Optional[float]]:
    kit.switch_checkpointing_on()
    # Adapters on the output layer get a gradient whatever the blocks before it pass on.
    return list(kit.train_as_used(kit.adapted_as_used(kit.base(), kit.lora(without=("lm_head",)))))


def _is_used(use: CodeUse) -> bool:
    return use.adapts_model and bool(use.checkpointing) and not use.passes_gradients


DOOR = Door(
    name="checkpointing",
    title="gradient checkpointing under get_peft_model",
    load=_load,
    train=_train,
    needs_adapters=True,
    only_if_used=True,
    is_used=_is_used,
    advice=(
        "Call model.enable_input_require_grads() before get_peft_model, or ask for the other form of checkpointing:"
        " gradient_checkpointing_kwargs={'use_reentrant': False}."
    ),
)
