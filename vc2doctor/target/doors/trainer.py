"""The door ``transformers.Trainer`` with ``TrainingArguments``."""

import importlib
from typing import Any, List, Optional

from . import Door


def _load() -> None:
    importlib.import_module("transformers.trainer")
    importlib.import_module("transformers.training_args")


def _train(kit: Any) -> List[Optional[float]]:
    transformers = kit.runtime.transformers
    arguments = kit.arguments(transformers.TrainingArguments)
    return list(kit.run_trainer(transformers.Trainer(model=kit.adapted(), args=arguments, train_dataset=kit.rows())))


DOOR = Door(
    name="trainer",
    title="transformers.Trainer",
    modules=("accelerate",),
    signs=(
        "transformers.Trainer",
        "transformers.Seq2SeqTrainer",
        "transformers.TrainingArguments",
        "transformers.Seq2SeqTrainingArguments",
    ),
    load=_load,
    train=_train,
    # trl's trainers bring their own collators.
    fault="transformers.trainer:default_data_collator",
    parent="accelerate",
    default=True,
)
