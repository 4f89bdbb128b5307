"""The door ``trl.DPOTrainer``: training on preferences."""

from typing import Any, List, Optional

from . import Door, trl_kit


def _load() -> None:
    trl_kit.load("DPOTrainer", "DPOConfig")


def _train(kit: Any) -> List[Optional[float]]:
    texts = kit.texts()
    rows = [{"prompt": "w1 w2", "chosen": text, "rejected": " ".join(reversed(text.split()))} for text in texts]
    return trl_kit.train(kit, "DPOTrainer", "DPOConfig", rows, max_length=24, max_prompt_length=8, beta=0.1)


DOOR = Door(
    name="dpo",
    title="trl's DPOTrainer",
    modules=("trl", "datasets"),
    signs=("trl.DPOTrainer", "trl.DPOConfig"),
    load=_load,
    train=_train,
    fault="trl:DPOTrainer.train",
    parent="trainer",
)
