"""The door ``trl.SFTTrainer``: supervised fine-tuning."""

from typing import Any, List, Optional

from . import Door, trl_kit


def _load() -> None:
    trl_kit.load("SFTTrainer", "SFTConfig")


def _train(kit: Any) -> List[Optional[float]]:
    rows = [{"text": text} for text in kit.texts()]
    # Two names of one setting: trl 0.16 renamed it.
    return trl_kit.train(
        kit, "SFTTrainer", "SFTConfig", rows, dataset_text_field="text", max_length=16, max_seq_length=16
    )


DOOR = Door(
    name="sft",
    title="trl's SFTTrainer",
    modules=("trl", "datasets"),
    signs=("trl.SFTTrainer", "trl.SFTConfig"),
    load=_load,
    train=_train,
    fault="trl:SFTTrainer.train",
    parent="trainer",
)
