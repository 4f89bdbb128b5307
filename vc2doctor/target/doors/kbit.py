"""The door ``prepare_model_for_kbit_training``: LoRA on a base that bitsandbytes quantized to 4 bits (NF4)."""

import importlib
from typing import Any, List, Optional

from . import Door, Unavailable


def _load() -> None:
    importlib.import_module("bitsandbytes").nn.Linear4bit  # noqa: B018 - the import is what is tried
    importlib.import_module("peft").prepare_model_for_kbit_training  # noqa: B018


def _train(kit: Any) -> List[Optional[float]]:
    peft = kit.runtime.peft
    base = kit.four_bit()
    base.config.use_cache = False
    base = peft.prepare_model_for_kbit_training(base)
    model = peft.get_peft_model(base, kit.lora())
    model.train()
    try:
        return list(kit.train_loop(kit.watch(model)))
    except (AssertionError, RuntimeError) as error:
        reason = kit.gpu_only_reason(error)
        if reason is not None:
            raise Unavailable(reason) from error
        raise


DOOR = Door(
    name="kbit",
    title="4-bit bases (prepare_model_for_kbit_training)",
    modules=("bitsandbytes",),
    signs=("peft.prepare_model_for_kbit_training", "transformers.BitsAndBytesConfig"),
    load=_load,
    train=_train,
    fault="peft:prepare_model_for_kbit_training",
    needs_adapters=True,
)
