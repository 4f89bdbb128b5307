"""The door ``model.load_adapter`` and ``PeftModel.from_pretrained``: training goes on from a saved adapter."""

import importlib
import os
from typing import Any, List, Optional

from . import Door, Unavailable


def _load() -> None:
    importlib.import_module("peft").PeftModel  # noqa: B018 - a lazy attribute is imported when it is read


def _train(kit: Any) -> List[Optional[float]]:
    folder = os.path.join(kit.folder, "adapter")
    kit.adapted().save_pretrained(folder)
    losses = []
    through_peft = kit.runtime.peft.PeftModel.from_pretrained(kit.base(), folder, is_trainable=True)
    losses += kit.train_loop(kit.watch(through_peft))
    base = kit.base()
    if not hasattr(base, "load_adapter"):
        # transformers 4.33 added it: https://github.com/huggingface/transformers/pull/25077
        return losses
    base.load_adapter(folder)
    for name, parameter in base.named_parameters():
        parameter.requires_grad = "lora_" in name
    if not any(p.requires_grad for p in base.parameters()):
        raise Unavailable("model.load_adapter added no LoRA parameter")
    return losses + list(kit.train_loop(kit.watch(base)))


DOOR = Door(
    name="adapter",
    title="load_adapter and PeftModel.from_pretrained",
    signs=("peft.PeftModel.from_pretrained", "peft.PeftModelForCausalLM.from_pretrained", "*.load_adapter"),
    load=_load,
    train=_train,
    fault="transformers.integrations.peft:PeftAdapterMixin.load_adapter",
    needs_adapters=True,
)
