"""The door ``prepare_model_for_kbit_training``: LoRA on a base that bitsandbytes quantized to 4 bits (NF4)."""

import importlib
from typing import Any, List, Optional

from . import Door, Unavailable


def _load() -> None:
    importlib.import_module("bitsandbytes").nn.Linear4bit  # noqa: B018 - the import is what is tried
    importlib.import_module("peft").prepare_model_for_kbit_training  # noqa: B018


def _train(kit: Any) -> List[Optional[float]]:
    transformers, torch, peft = kit.runtime.transformers, kit.runtime.torch, kit.runtime.peft
    folder = kit.folder + "/base"
    kit.base().to("cpu").save_pretrained(folder)
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )
    try:
        base = transformers.AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=config, device_map={"": str(kit.runtime.device)}
        )
    except (ImportError, RuntimeError, ValueError) as error:
        if kit.on_cpu and any(word in str(error).lower() for word in ("cuda", "gpu")):
            raise Unavailable("this bitsandbytes or transformers quantizes on a GPU only: %s" % error) from error
        raise
    base.config.use_cache = False
    base = peft.prepare_model_for_kbit_training(base)
    model = peft.get_peft_model(base, kit.lora())
    model.train()
    return list(kit.train_loop(kit.watch(model)))


DOOR = Door(
    name="kbit",
    title="4-bit bases (prepare_model_for_kbit_training)",
    modules=("bitsandbytes",),
    signs=("peft.prepare_model_for_kbit_training", "transformers.BitsAndBytesConfig"),
    load=_load,
    train=_train,
    fault="peft:prepare_model_for_kbit_training",
)
